// What the servers of the second TypeScript SDK offer.
import { setTimeout as sleep } from 'node:timers/promises';
import { McpServer, acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (words) => ({ content: [{ type: 'text', text: words }] });

/** Tells the client so many times that it goes on, if it wants to know. */
async function goOn({ mcpReq }, total) {
  const { progressToken } = mcpReq._meta ?? {};
  for (let progress = 1; progressToken !== undefined && progress <= total; progress += 1) {
    await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
  }
}

/** Their arguments, and what they do. */
const TOOLS = {
  echo: [{ message: z.string() }, ({ message }) => text(message)],
  add: [{ a: z.number(), b: z.number() }, ({ a, b }) => text(String(a + b))],
  big: [{ bytes: z.number() }, ({ bytes }) => text('x'.repeat(bytes))],
  fail: [{}, () => {
    throw new Error('failed as asked');
  }],
  progress: [{ count: z.number() }, async ({ count }, context) => {
    await goOn(context, count);
    return text('done');
  }],
  slow: [{ seconds: z.number(), progress: z.number().optional() }, async ({ seconds, progress = 0 }, context) => {
    await goOn(context, progress);
    await sleep(seconds * 1000);
    return text('done');
  }],
};

const answer = z.object({ sure: z.boolean() });
const question = { sure: inputRequired.elicit({ message: 'Sure?', requestedSchema: answer }) };

/** Tools that make clients wait; `tell` reaches those who listen. */
const waiting = (tell) => ({
  touch: [{}, async () => {
    await tell.resourceUpdated('note://example');
    await tell.toolsChanged();
    return text('touched');
  }],
  ask: [{}, (_given, { mcpReq }) => {
    const content = acceptedContent(mcpReq.inputResponses, 'sure', answer);
    return content ? text(content.sure ? 'yes' : 'no') : inputRequired({ inputRequests: question });
  }],
  // The state that the client hands back is how often it was asked.
  ask_twice: [{}, (_given, { mcpReq }) => {
    const state = mcpReq.requestState();
    return state === 'second'
      ? text('yes, and yes')
      : inputRequired({ inputRequests: question, requestState: state === 'first' ? 'second' : 'first' });
  }],
});

/** `notify` tells those who listen; over standard input and output the server does so itself. */
export function makeServer(notify) {
  const server = new McpServer(
    { name: 'v2-server', version: '1.0' },
    { capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
  );
  const tell = notify ?? {
    toolsChanged: () => server.sendToolListChanged(),
    resourceUpdated: (uri) => server.server.sendResourceUpdated({ uri }),
  };
  for (const [name, [takes, act]] of Object.entries({ ...TOOLS, ...waiting(tell) })) {
    server.registerTool(name, { inputSchema: z.object(takes) }, act);
  }
  server.registerResource('note', 'note://example', {}, () => ({
    contents: [{ uri: 'note://example', text: 'a note' }],
  }));
  server.registerPrompt('greet', {}, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: 'Hello' } }],
  }));
  return server;
}
