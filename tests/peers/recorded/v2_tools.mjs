// What the servers of the second TypeScript SDK offer.
import { McpServer, acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (words) => ({ content: [{ type: 'text', text: words }] });

export function makeServer() {
  const server = new McpServer({ name: 'v2-server', version: '1.0' }, { capabilities: { tools: {} } });
  server.registerTool('echo', { inputSchema: z.object({ message: z.string() }) }, ({ message }) => text(message));
  server.registerTool('fail', { inputSchema: z.object({}) }, () => {
    throw new Error('failed as asked');
  });
  server.registerTool('progress', { inputSchema: z.object({ count: z.number() }) }, async ({ count }, context) => {
    const { progressToken } = context.mcpReq._meta ?? {};
    for (let step = 1; step <= count; step += 1) {
      await context.mcpReq.notify({
        method: 'notifications/progress', params: { progressToken, progress: step, total: count },
      });
    }
    return text('done');
  });
  const answer = z.object({ sure: z.boolean() });
  server.registerTool('ask', { inputSchema: z.object({}) }, (_given, context) => {
    const content = acceptedContent(context.mcpReq.inputResponses, 'sure', answer);
    if (content) return text(content.sure ? 'yes' : 'no');
    return inputRequired({
      inputRequests: { sure: inputRequired.elicit({ message: 'Sure?', requestedSchema: answer }) },
    });
  });
  server.registerResource('note', 'note://example', {}, () => ({
    contents: [{ uri: 'note://example', text: 'a note' }],
  }));
  server.registerPrompt('greet', {}, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: 'Hello' } }],
  }));
  return server;
}
