// A client of the second TypeScript SDK: v2_client.mjs URL | -- CMD...; it finds out which era the server speaks.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [place, ...rest] = process.argv.slice(2);
const transport = place === '--'
  ? new StdioClientTransport({ command: rest[0], args: rest.slice(1), stderr: 'ignore' })
  : new StreamableHTTPClientTransport(new URL(place));
const client = new Client(
  { name: 'v2-client', version: '1.0' },
  { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: 'auto' } },
);
client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { sure: true } }));

/** An error answer is part of the show. */
const shown = (promise) => promise.catch((error) => console.error(error.message));
const call = (name, args, options) => shown(client.callTool({ name, arguments: args }, options));

await client.connect(transport);
await shown(client.listTools());
await call('echo', { message: 'hello' });
await Promise.all([call('echo', { message: 'one' }), call('echo', { message: 'two' })]);
await call('fail', {});
await call('absent', {});
await call('progress', { count: 3 }, { onprogress: () => {} });
await call('ask', {});
await shown(client.listResources());
await shown(client.readResource({ uri: 'note://example' }));
await shown(client.listPrompts());
await shown(client.getPrompt({ name: 'greet' }));
await client.close();
