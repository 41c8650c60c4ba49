// The tools that every server of these tests offers, here for the TypeScript SDK.
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  CallToolRequestSchema, ErrorCode, ListToolsRequestSchema, McpError,
} from '@modelcontextprotocol/sdk/types.js';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });

const TOOLS = {
  echo: ({ message = '' }) => text(message),
  add: ({ a = 0, b = 0 }) => text(a + b),
  big: ({ bytes = 0 }) => text('x'.repeat(bytes)),
  fail: () => ({ ...text('failed as asked'), isError: true }),
  progress: async ({ count = 0 }, notify) => {
    await notify(count);
    return text('done');
  },
  slow: async ({ seconds = 0, progress = 0 }, notify) => {
    await notify(progress);
    await sleep(seconds * 1000);
    return text('done');
  },
};

/** A server for one session. */
export function makeServer() {
  const server = new Server({ name: 'node-server', version: '1.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.keys(TOOLS).map((name) => ({ name, inputSchema: { type: 'object' } })),
  }));
  server.setRequestHandler(CallToolRequestSchema, (request, extra) => {
    const tool = TOOLS[request.params.name];
    if (!tool) throw new McpError(ErrorCode.InvalidParams, `unknown tool: ${request.params.name}`);
    const progressToken = request.params._meta?.progressToken;
    const notify = async (total) => {
      for (let progress = 1; progressToken !== undefined && progress <= total; progress++) {
        await extra.sendNotification({
          method: 'notifications/progress', params: { progressToken, progress, total },
        });
      }
    };
    return tool(request.params.arguments ?? {}, notify);
  });
  return server;
}
