// A reverse proxy that compresses what the server answers: compressing.mjs PORT; prints where it listens.
import { createServer, request as ask } from 'node:http';
import { constants, createGzip } from 'node:zlib';

const server = createServer((request, response) => {
  const onward = { port: Number(process.argv[2]), method: request.method, path: request.url, headers: request.headers };
  const asked = ask(onward, (answer) => {
    const { 'content-length': _length, ...headers } = answer.headers;
    if (!headers['content-type']) {
      response.writeHead(answer.statusCode, answer.headers);
      return answer.pipe(response);
    }
    response.writeHead(answer.statusCode, { ...headers, 'content-encoding': 'gzip' });
    // An event must not wait for the next one.
    return answer.pipe(createGzip({ flush: constants.Z_SYNC_FLUSH })).pipe(response);
  });
  asked.on('error', () => response.destroy());
  response.on('close', () => asked.destroy());
  request.pipe(asked);
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ type: 'listening', pid: process.pid, port: server.address().port }));
});
