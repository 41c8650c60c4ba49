// `fetch` over HTTP/2 without TLS, all requests on one connection.
import { connect } from 'node:http2';
import { Readable } from 'node:stream';

export function http2Fetch(origin) {
  const session = connect(origin);
  return (url, { method = 'GET', headers, body, signal } = {}) => new Promise((resolve, reject) => {
    const { pathname, search } = new URL(url);
    const head = { ...Object.fromEntries(new Headers(headers)), ':method': method, ':path': pathname + search };
    const stream = session.request(head, { signal });
    stream.on('error', reject);
    stream.on('response', (answer) => {
      const fields = Object.entries(answer).filter(([name]) => !name.startsWith(':'));
      const status = answer[':status'];
      const content = status === 204 ? null : Readable.toWeb(stream);
      resolve(new Response(content, { status, headers: fields }));
    });
    stream.end(body);
  });
}
