// The truth about the calls of this client: requests matched with their answers where the messages pass.
const REVERSED = { client_to_server: 'server_to_client', server_to_client: 'client_to_server' };

export const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const unixNs = () => Math.round((performance.timeOrigin + performance.now()) * 1e6);

function outcome({ result, error }) {
  if (error) return 'rpc_error';
  if (['input_required', 'task'].includes(result.resultType)) return result.resultType;
  return result.isError ? 'tool_error' : 'ok';
}

/** The SDK takes a status of failure for the end, though there may be an error of the protocol with it. */
const turnedAway = ({ message, data }) => (
  `${message} ${data?.text}`.includes('"jsonrpc"') ? 'rpc_error' : 'http_error');

/** What a request of a session without `initialize` says that it speaks. */
const stated = (params) => params?._meta?.['io.modelcontextprotocol/protocolVersion'];

export class Ledger {
  #open = new Map();
  #serverPid;
  #negotiated;

  /** `serverPid` is asked when a call ends, for a server that the SDK starts later. */
  constructor(serverPid) {
    this.#serverPid = serverPid;
  }

  /** Notes a message that went from client to server or back. */
  passed(direction, { id, method, params, result, error }) {
    if (method !== undefined && id !== undefined) {
      this.#open.set(`${direction} ${JSON.stringify(id)}`, {
        id, method, progress: 0, start: unixNs(), token: params?._meta?.progressToken,
        tool: method === 'tools/call' ? params.name : undefined, revision: stated(params) ?? this.#negotiated,
      });
    } else if (method === 'notifications/progress') {
      for (const call of this.#open.values()) if (call.token === params.progressToken) call.progress += 1;
    } else if (method === 'notifications/cancelled') {
      this.ended(direction, params.requestId, 'cancelled');
    } else if (method === undefined) {
      this.#agreed(this.#open.get(`${REVERSED[direction]} ${JSON.stringify(id)}`), result);
      this.ended(REVERSED[direction], id, outcome({ result, error }));
    }
  }

  /** The answer to `initialize` says what the session speaks. */
  #agreed(call, result) {
    if (call?.method !== 'initialize' || !result) return;
    this.#negotiated = result.protocolVersion;
    call.revision = this.#negotiated;
  }

  /** Prints how a request ended, the first time. */
  ended(direction, id, outcome) {
    const key = `${direction} ${JSON.stringify(id)}`;
    const call = this.#open.get(key);
    if (!call) return;
    this.#open.delete(key);
    const end = unixNs();
    print({
      type: 'call', direction, client_pid: process.pid, server_pid: this.#serverPid(), method: call.method,
      tool: call.tool, id: call.id, revision: call.revision, outcome, progress: call.progress,
      duration_ms: (end - call.start) / 1e6, start_unix_ns: call.start, end_unix_ns: end,
    });
  }

  /** The session is over: what is still open will not be answered. */
  close() {
    for (const [key, call] of [...this.#open]) this.ended(key.split(' ')[0], call.id, 'abandoned');
  }

  /** Makes a transport of the SDK tell what passes through it. */
  watch(transport) {
    const send = transport.send.bind(transport);
    transport.send = async (message, options) => {
      this.passed('client_to_server', message);
      try {
        return await send(message, options);
      } catch (error) {
        if (message.method) this.ended('client_to_server', message.id, turnedAway(error));
        throw error;
      }
    };
    let receive;
    const already = transport.onmessage;
    Object.defineProperty(transport, 'onmessage', {
      get: () => receive,
      set: (wanted) => {
        receive = wanted && ((message, extra) => {
          this.passed('server_to_client', message);
          wanted(message, extra);
        });
      },
    });
    transport.onmessage = already;
    return transport;
  }
}
