// A client of the first TypeScript SDK that uses all that server-everything has: v1_client.mjs URL [sse] | -- CMD...
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

const [place, ...rest] = process.argv.slice(2);

function transport() {
  if (place === '--') return new StdioClientTransport({ command: rest[0], args: rest.slice(1), stderr: 'ignore' });
  return rest[0] === 'sse' ? new SSEClientTransport(new URL(place)) : new StreamableHTTPClientTransport(new URL(place));
}

const client = new Client(
  { name: 'v1-client', version: '1.0' },
  { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
);
client.setRequestHandler(CreateMessageRequestSchema, () => (
  { model: 'none', role: 'assistant', content: { type: 'text', text: 'a sample' } }));
client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' }));
client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///srv/example', name: 'example' }] }));

/** An error answer is part of the show. */
const shown = (promise) => promise.catch(() => undefined);
const call = (name, args, options) => shown(client.callTool({ name, arguments: args }, undefined, options));

await client.connect(transport());
await client.ping();
await client.listTools();
const { resources } = await client.listResources();
await client.listPrompts();
await call('echo', { message: 'hello' });
await Promise.all([call('get-sum', { a: 1, b: 2 }), call('get-sum', { a: 3, b: 4 })]);
await call('get-sum', { a: 'one' });
await call('absent', {});
await call('trigger-long-running-operation', { duration: 0.3, steps: 3 }, { onprogress: () => {} });
await call('trigger-sampling-request', { prompt: 'anything', maxTokens: 10 });
await call('trigger-elicitation-request', {});
await call('get-roots-list', {});
await shown(client.readResource({ uri: resources[0].uri }));
await shown(client.readResource({ uri: 'demo://absent' }));
await shown(client.getPrompt({ name: 'simple-prompt' }));
const stop = new AbortController();
setTimeout(() => stop.abort('enough'), 150);
await call('trigger-long-running-operation', { duration: 5, steps: 2 }, { signal: stop.signal });
await client.ping();
await client.transport.terminateSession?.();
await client.close();
