// server-everything over stdio, or over Streamable HTTP or the endpoints of 2024 on a port that is free:
// v1_server.mjs stdio|http|sse.
import { createServer } from 'node:net';

const program = '@modelcontextprotocol/server-everything/dist/index.js';

function listen(transport) {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(async () => {
      process.env.PORT = String(port);
      process.argv[2] = transport;
      await import(program);
      console.log(JSON.stringify({ type: 'listening', pid: process.pid, port }));
    });
  });
}

if (process.argv[2] === 'stdio') await import(program);
else listen(process.argv[2] === 'sse' ? 'sse' : 'streamableHttp');
