// A client of the second TypeScript SDK that waits: streams of subscriptions, and rounds of input that it is asked for.
// v2_listen_client.mjs URL | -- CMD...
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [place, ...rest] = process.argv.slice(2);
const transport = place === '--'
  ? new StdioClientTransport({ command: rest[0], args: rest.slice(1), stderr: 'ignore' })
  : new StreamableHTTPClientTransport(new URL(place));
const client = new Client(
  { name: 'v2-listen-client', version: '1.0' },
  { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: 'auto' } },
);
client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { sure: true } }));

/** The next notification of this method. */
const next = (method) => new Promise((resolve) => {
  client.setNotificationHandler(method, () => resolve());
});
const call = (name) => client.callTool({ name, arguments: {} });

await client.connect(transport);
const listed = next('notifications/tools/list_changed');
const updated = next('notifications/resources/updated');
const tools = await client.listen({ toolsListChanged: true });
const note = await client.listen({ resourceSubscriptions: ['note://example'] });
await call('touch');
await Promise.all([listed, updated]);
await client.listTools();
await note.close();
await Promise.all([call('ask'), call('ask')]);
await call('ask_twice');
await tools.close();
await client.close();
