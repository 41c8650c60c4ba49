// A client of the first TypeScript SDK that waits: tasks and subscriptions of server-everything.
// v1_tasks_client.mjs URL | -- CMD...
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { Ledger, print } from './truth.mjs';

const [place, ...rest] = process.argv.slice(2);
const transport = place === '--'
  ? new StdioClientTransport({ command: rest[0], args: rest.slice(1), stderr: 'ignore' })
  : new StreamableHTTPClientTransport(new URL(place));
const client = new Client(
  { name: 'v1-tasks-client', version: '1.0' },
  { capabilities: { elicitation: {}, tasks: { requests: {} } } },
);
client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { interpretation: 'both' } }));

/** An error answer is part of the show. */
const shown = (promise) => promise.catch((error) => console.error(error.message));
const { tasks } = client.experimental;

/** Runs a tool as a task to its end, or takes it back as soon as it has one. */
async function research(given, cancel) {
  const stream = tasks.callToolStream({ name: 'simulate-research-query', arguments: given }, undefined, {
    task: { ttl: 60_000 },
  });
  try {
    for await (const message of stream) {
      if (cancel && message.type === 'taskCreated') return await tasks.cancelTask(message.task.taskId);
    }
  } catch (error) {
    console.error(error.message);
  }
}

let serverPid;
const ledger = new Ledger(() => serverPid ?? transport.pid ?? undefined);
await client.connect(ledger.watch(transport));
serverPid = transport.pid ?? undefined;
print({ type: 'peer', client_pid: process.pid, server_pid: serverPid });
await client.listTools();
await research({ topic: 'tides' });
await research({ topic: 'python', ambiguous: true });
await research({ topic: 'nothing' }, true);
await shown(tasks.listTasks());
await shown(tasks.getTask('absent'));

const { resources: [{ uri }] } = await client.listResources();
const updated = new Promise((resolve) => {
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, () => resolve());
});
await client.subscribeResource({ uri });
await client.callTool({ name: 'toggle-subscriber-updates', arguments: {} });
await updated;
await client.callTool({ name: 'toggle-subscriber-updates', arguments: {} });
await client.unsubscribeResource({ uri });
await client.transport.terminateSession?.();
await client.close();
ledger.close();
