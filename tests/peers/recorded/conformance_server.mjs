// A server with all that the official conformance suite asks for. Its log is the truth: one line for each request,
// written where the messages pass its own transport, or where HTTP turned the request away.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { Ledger, print } from './truth.mjs';

const text = (words) => ({ type: 'text', text: words });
const image = { type: 'image', data: 'iVBORw0KGgo=', mimeType: 'image/png' };
const audio = { type: 'audio', data: 'UklGRg==', mimeType: 'audio/wav' };
const embedded = (uri = 'test://embedded') => (
  { type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'embedded' } });
const form = (properties) => ({ message: 'Fill in', requestedSchema: { type: 'object', properties } });
const enums = { untitledSingle: { type: 'string', enum: ['one', 'two'] } };

/** What each tool does. */
const TOOLS = {
  test_simple_text: () => [text('simple')],
  test_image_content: () => [image],
  test_audio_content: () => [audio],
  test_embedded_resource: () => [embedded()],
  test_multiple_content_types: () => [text('mixed'), image, embedded()],
  test_tool_with_logging: async ({ sendNotification }) => {
    for (const data of ['started', 'working', 'done']) {
      await sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
    }
    return [text('logged')];
  },
  test_error_handling: () => {
    throw new Error('failed as asked');
  },
  test_tool_with_progress: async ({ sendNotification, _meta }) => {
    for (const progress of [0, 50, 100]) {
      const params = { progressToken: _meta?.progressToken ?? 0, progress, total: 100 };
      await sendNotification({ method: 'notifications/progress', params });
    }
    return [text('done')];
  },
  test_sampling: ask('sampling/createMessage', types.CreateMessageResultSchema, {
    messages: [{ role: 'user', content: text('anything') }], maxTokens: 10,
  }),
  test_elicitation: ask('elicitation/create', types.ElicitResultSchema, form({ name: { type: 'string' } })),
  test_elicitation_sep1034_defaults: ask(
    'elicitation/create', types.ElicitResultSchema, form({ name: { type: 'string', default: 'John' } }),
  ),
  test_elicitation_sep1330_enums: ask('elicitation/create', types.ElicitResultSchema, form(enums)),
};

/** A tool that asks the client something. */
function ask(method, schema, params) {
  return async ({ sendRequest }) => [text(JSON.stringify(await sendRequest({ method, params }, schema)))];
}

function makeServer() {
  const server = new Server(
    { name: 'conformance-server', version: '1.0' },
    { capabilities: { tools: {}, resources: { subscribe: true }, prompts: {}, logging: {}, completions: {} } },
  );
  const answers = (schema, answer) => server.setRequestHandler(schema, answer);
  answers(types.ListToolsRequestSchema, () => ({
    tools: Object.keys(TOOLS).map((name) => ({ name, description: name, inputSchema: { type: 'object' } })),
  }));
  answers(types.CallToolRequestSchema, async ({ params }, context) => {
    try {
      return { content: await TOOLS[params.name](context) };
    } catch (error) {
      return { isError: true, content: [text(error.message)] };
    }
  });
  answers(types.ListResourcesRequestSchema, () => ({
    resources: [{ uri: 'test://static-text', name: 'text', description: 'text', mimeType: 'text/plain' }],
  }));
  answers(types.ReadResourceRequestSchema, ({ params: { uri } }) => ({
    contents: [uri.endsWith('binary')
      ? { uri, mimeType: 'image/png', blob: image.data }
      : { uri, mimeType: 'text/plain', text: `content of ${uri}` }],
  }));
  answers(types.SubscribeRequestSchema, () => ({}));
  answers(types.UnsubscribeRequestSchema, () => ({}));
  answers(types.CompleteRequestSchema, () => ({ completion: { values: ['paris'], total: 1, hasMore: false } }));
  answers(types.ListPromptsRequestSchema, () => ({ prompts: [{ name: 'test_simple_prompt', description: 'simple' }] }));
  answers(types.GetPromptRequestSchema, ({ params }) => {
    if (params.name === 'absent') throw new types.McpError(types.ErrorCode.InvalidParams, 'absent');
    return { messages: [{ role: 'user', content: text(`prompt ${params.name}`) }] };
  });
  return server;
}

/** Notes what passes the transport of one session, which a server is connected to. */
function watch(session) {
  const ledger = new Ledger(() => process.pid);
  const send = session.send.bind(session);
  session.send = (message, options) => {
    ledger.passed('server_to_client', message);
    return send(message, options);
  };
  const receive = session.onmessage;
  session.onmessage = (message, extra) => {
    ledger.passed('client_to_server', message);
    receive(message, extra);
  };
  return session;
}

/** Notes a request that no session has seen, because HTTP turned it away, and with what. */
function turnedAway({ id, method }, answer) {
  const now = Date.now() * 1e6;
  print({
    type: 'call', direction: 'client_to_server', client_pid: process.pid, server_pid: process.pid, method, id,
    outcome: answer.includes('"jsonrpc"') ? 'rpc_error' : 'http_error', progress: 0, duration_ms: 0,
    start_unix_ns: now, end_unix_ns: now,
  });
}

/** Calls `done` with the status and the body of an answer. */
function whenAnswered(response, done) {
  const pieces = [];
  for (const name of ['write', 'end']) {
    const original = response[name].bind(response);
    response[name] = (piece, ...rest) => {
      if (piece && typeof piece !== 'function') pieces.push(Buffer.from(piece));
      return original(piece, ...rest);
    };
  }
  response.on('finish', () => done(response.statusCode, Buffer.concat(pieces).toString()));
}

const sessions = new Map();

async function open(port) {
  const session = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, session),
    enableDnsRebindingProtection: true,
    allowedHosts: [`localhost:${port}`, `127.0.0.1:${port}`],
  });
  await makeServer().connect(session);
  return watch(session);
}

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length ? JSON.parse(Buffer.concat(pieces).toString()) : undefined;
}

const server = createServer(async (request, response) => {
  const given = request.method === 'POST' ? await body(request) : undefined;
  whenAnswered(response, (status, answer) => {
    if (status >= 400 && given?.method && given.id !== undefined) turnedAway(given, answer);
  });
  const session = sessions.get(request.headers['mcp-session-id']) ?? await open(server.address().port);
  await session.handleRequest(request, response, given);
});
server.listen(0, () => print({ type: 'listening', pid: process.pid, port: server.address().port }));
