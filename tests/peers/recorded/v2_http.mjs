// What the second TypeScript SDK handles as requests of the web, served by Node.
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Serves `handler` on a port that is free, inside TLS where there is a certificate, and says so. */
export function listen(handler, tls) {
  const serve = async (request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const hasBody = !['GET', 'HEAD', 'DELETE'].includes(request.method);
    const url = `${tls ? 'https' : 'http'}://${request.headers.host}${request.url}`;
    const answer = await handler.fetch(new Request(url, {
      method: request.method, headers: request.headers, duplex: 'half', signal: gone.signal,
      ...(hasBody && { body: Readable.toWeb(request) }),
    }));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (!answer.body) return response.end();
    return pipeline(Readable.fromWeb(answer.body), response).catch(() => {});
  };
  const server = tls ? createTlsServer(tls, serve) : createServer(serve);
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ type: 'listening', pid: process.pid, port: server.address().port }));
  });
}
