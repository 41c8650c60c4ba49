// An MCP client of the TypeScript SDK: client.mjs --url URL [--sse|--ws|--http2] | --stdio, [--call JSON]... [-- CMD...].
// Without --call the steps are lines of standard input. A certificate authority comes by NODE_EXTRA_CA_CERTS.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { http2Fetch } from './http2.mjs';
import { Ledger, print } from './truth.mjs';

const { positionals: [command, ...args], values } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: 'string' }, sse: { type: 'boolean' }, stdio: { type: 'boolean' },
    ws: { type: 'boolean' }, http2: { type: 'boolean' },
    call: { type: 'string', multiple: true },
  },
});

function makeTransport() {
  if (values.stdio) return new StdioClientTransport({ command, args });
  const url = new URL(values.url);
  if (values.ws) return new WebSocketClientTransport(url);
  if (values.http2) return new StreamableHTTPClientTransport(url, { fetch: http2Fetch(url.origin) });
  return values.sse ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url);
}

async function request(client, { method = 'tools/call', tool, arguments: given = {}, timeout_ms: timeout }) {
  const options = { onprogress: () => {}, ...(timeout && { timeout }) };
  try {
    if (method === 'ping') await client.ping(options);
    else if (method === 'tools/list') await client.listTools({}, options);
    else await client.callTool({ name: tool, arguments: given }, undefined, options);
  } catch {
    // An error answer is an outcome like any other, and printed as one.
  }
}

async function step(client, wanted) {
  let left = wanted.repeat ?? 1;
  const lane = async () => {
    while (left-- > 0) await request(client, wanted);
  };
  await Promise.all(Array.from({ length: wanted.concurrency ?? 1 }, lane));
}

const transport = makeTransport();
const ledger = new Ledger(() => transport.pid ?? undefined);
const client = new Client({ name: 'node-client', version: '1.0' });
await client.connect(ledger.watch(transport));
print({ type: 'peer', client_pid: process.pid, server_pid: transport.pid ?? undefined });
await client.listTools();
for (const call of values.call ?? []) await step(client, JSON.parse(call));
if (!values.call) {
  for await (const line of createInterface({ input: process.stdin })) await step(client, JSON.parse(line));
}
await client.close();
ledger.close();
process.exit(0);
