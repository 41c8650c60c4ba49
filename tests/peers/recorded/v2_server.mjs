// A server of the second TypeScript SDK: v2_server.mjs stdio|http.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { makeServer } from './v2_tools.mjs';

function listen() {
  const handler = createMcpHandler(makeServer);
  const server = createServer(async (request, response) => {
    const hasBody = !['GET', 'HEAD', 'DELETE'].includes(request.method);
    const answer = await handler.fetch(new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method, headers: request.headers, duplex: 'half',
      ...(hasBody && { body: Readable.toWeb(request) }),
    }));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (!answer.body) return response.end();
    return pipeline(Readable.fromWeb(answer.body), response).catch(() => {});
  });
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ type: 'listening', pid: process.pid, port: server.address().port }));
  });
}

if (process.argv[2] === 'http') listen();
else serveStdio(makeServer);
