// A server of the second TypeScript SDK whose tools make clients wait: v2_listen_server.mjs stdio|http.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { McpServer, acceptedContent, createMcpHandler, inputRequired } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const text = (words) => ({ content: [{ type: 'text', text: words }] });
const answer = z.object({ sure: z.boolean() });
const question = { sure: inputRequired.elicit({ message: 'Sure?', requestedSchema: answer }) };

/** `notify` tells those who listen; over standard input and output the server does itself. */
function makeServer(notify) {
  const server = new McpServer(
    { name: 'v2-listen-server', version: '1.0' },
    { capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
  );
  const tell = notify?.() ?? {
    toolsChanged: () => server.sendToolListChanged(),
    resourceUpdated: (uri) => server.server.sendResourceUpdated({ uri }),
  };
  server.registerTool('touch', { inputSchema: z.object({}) }, async () => {
    await tell.resourceUpdated('note://example');
    await tell.toolsChanged();
    return text('touched');
  });
  server.registerTool('ask', { inputSchema: z.object({}) }, (_given, { mcpReq }) => (
    acceptedContent(mcpReq.inputResponses, 'sure', answer) ? text('yes') : inputRequired({ inputRequests: question })
  ));
  // The state that the client hands back is how often it was asked.
  server.registerTool('ask_twice', { inputSchema: z.object({}) }, (_given, { mcpReq }) => {
    const state = mcpReq.requestState();
    return state === 'second'
      ? text('yes, and yes')
      : inputRequired({ inputRequests: question, requestState: state === 'first' ? 'second' : 'first' });
  });
  server.registerResource('note', 'note://example', {}, () => ({
    contents: [{ uri: 'note://example', text: 'a note' }],
  }));
  return server;
}

function listen() {
  const handler = createMcpHandler(() => makeServer(() => handler.notify));
  const server = createServer(async (request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const hasBody = !['GET', 'HEAD', 'DELETE'].includes(request.method);
    const reply = await handler.fetch(new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method, headers: request.headers, duplex: 'half', signal: gone.signal,
      ...(hasBody && { body: Readable.toWeb(request) }),
    }));
    response.writeHead(reply.status, Object.fromEntries(reply.headers));
    if (!reply.body) return response.end();
    return pipeline(Readable.fromWeb(reply.body), response).catch(() => {});
  });
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ type: 'listening', pid: process.pid, port: server.address().port }));
  });
}

if (process.argv[2] === 'http') listen();
else serveStdio(() => makeServer());
