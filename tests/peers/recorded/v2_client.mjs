// A client of the second TypeScript SDK: takes the steps that it is told to (see v2_peer.mjs), or else shows all it can.
import { close, connected, steps } from './v2_peer.mjs';

const SHOW = [
  { tool: 'echo', arguments: { message: 'hello' } },
  { tool: 'echo', arguments: { message: 'two at once' }, repeat: 2, concurrency: 2 },
  { tool: 'fail' },
  { tool: 'absent' },
  { tool: 'progress', arguments: { count: 3 } },
  { tool: 'ask' },
  { method: 'resources/list' },
  { method: 'resources/read' },
  { method: 'prompts/list' },
  { method: 'prompts/get' },
];

/** The next notification of this method. */
const next = (method) => new Promise((resolve) => {
  client.setNotificationHandler(method, () => resolve());
});

const streams = [];

/** Listens to two streams until each has told something; the first goes on until the end. */
async function listen() {
  const told = [next('notifications/tools/list_changed'), next('notifications/resources/updated')];
  streams.push(await client.listen({ toolsListChanged: true }));
  const note = await client.listen({ resourceSubscriptions: ['note://example'] });
  await client.callTool({ name: 'touch', arguments: {} });
  await Promise.all(told);
  await note.close();
}

const METHODS = {
  'subscriptions/listen': listen,
  ping: () => client.ping(),
  'tools/list': () => client.listTools(),
  'tools/call': ({ tool, arguments: given = {}, timeout_ms: timeout }) => (
    client.callTool({ name: tool, arguments: given }, { onprogress: () => {}, ...(timeout && { timeout }) })),
  'resources/list': () => client.listResources(),
  'resources/read': () => client.readResource({ uri: 'note://example' }),
  'prompts/list': () => client.listPrompts(),
  'prompts/get': () => client.getPrompt({ name: 'greet' }),
};

async function take(step) {
  let left = step.repeat ?? 1;
  const lane = async () => {
    while (left-- > 0) {
      // An error answer is an outcome like any other, and printed as one.
      await METHODS[step.method ?? 'tools/call'](step).catch((error) => console.error(error.message));
    }
  };
  await Promise.all(Array.from({ length: step.concurrency ?? 1 }, lane));
}

const client = await connected('v2-client');
for (const step of [{ method: 'tools/list' }, ...(steps ?? SHOW)]) await take(step);
for (const stream of streams) await stream.close();
await close(client);
