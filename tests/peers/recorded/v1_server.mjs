// server-everything over Streamable HTTP or the endpoints of 2024, on a port that is free: v1_server.mjs http|sse.
import { createServer } from 'node:net';

const probe = createServer().listen(0, '127.0.0.1', () => {
  const { port } = probe.address();
  probe.close(async () => {
    process.env.PORT = String(port);
    const transport = process.argv[2] === 'sse' ? 'sse' : 'streamableHttp';
    process.argv[2] = transport;
    await import('@modelcontextprotocol/server-everything/dist/index.js');
    console.log(JSON.stringify({ type: 'listening', pid: process.pid, port }));
  });
});
