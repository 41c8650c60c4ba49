// What the clients of the second TypeScript SDK have in common: where the server is, and the truth about their calls.
// CLIENT --url URL [--sse] | --stdio, [--call JSON]... [-- CMD...]. A certificate authority comes by NODE_EXTRA_CA_CERTS.
import { parseArgs } from 'node:util';
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Ledger, print } from './truth.mjs';

const { positionals: [command, ...args], values } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: 'string' }, sse: { type: 'boolean' }, stdio: { type: 'boolean' },
    call: { type: 'string', multiple: true },
  },
});

/** The steps that this client was told to take, if it was. */
export const steps = values.call?.map((call) => JSON.parse(call));

const ledgers = [];

// The SDK makes a second transport by itself, for a server that it only asks what it speaks, so all are watched.
for (const { prototype } of [SSEClientTransport, StdioClientTransport, StreamableHTTPClientTransport]) {
  const { start } = prototype;
  prototype.start = async function watched() {
    let pid;
    const ledger = new Ledger(() => pid);
    ledgers.push(ledger.watch(this) && ledger);
    await start.call(this);
    pid = this.pid ?? undefined;
    print({ type: 'peer', client_pid: process.pid, server_pid: pid });
  };
}

function makeTransport() {
  if (values.stdio) return new StdioClientTransport({ command, args, stderr: 'ignore' });
  const url = new URL(values.url);
  return values.sse ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url);
}

/** A client that has found out which era the server speaks. */
export async function connected(name) {
  const client = new Client(
    { name, version: '1.0' },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: 'auto' } },
  );
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { sure: true } }));
  await client.connect(makeTransport());
  return client;
}

/** Nothing more will be answered. */
export async function close(client) {
  await client.close();
  for (const ledger of ledgers) ledger.close();
  // Connections that are kept for later would keep the process too.
  process.exit(0);
}
