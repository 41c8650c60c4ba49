// An MCP server of the TypeScript SDK: server.mjs stdio|http|http2|sse|https
// [--cert FILE --key FILE] [--host ADDRESS] [--port N].
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import { parseArgs } from 'node:util';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { makeServer } from './tools.mjs';

const { positionals: [transport], values } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' }, cert: { type: 'string' }, key: { type: 'string' },
  },
});

const sessions = new Map();

/** Streamable HTTP: a request without a session opens one. */
async function streamable(request, response) {
  let session = sessions.get(request.headers['mcp-session-id']);
  if (!session) {
    session = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, session),
    });
    await makeServer().connect(session);
  }
  await session.handleRequest(request, response);
}

/** The two endpoints of 2024. */
async function events(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (request.method === 'GET' && url.pathname === '/sse') {
    const session = new SSEServerTransport('/message', response);
    sessions.set(session.sessionId, session);
    await makeServer().connect(session);
  } else {
    await sessions.get(url.searchParams.get('sessionId')).handlePostMessage(request, response);
  }
}

function listen(server) {
  server.listen(Number(values.port), values.host, () => {
    const { port } = server.address();
    console.log(JSON.stringify({ type: 'listening', pid: process.pid, port }));
  });
}

switch (transport) {
  case 'stdio':
    await makeServer().connect(new StdioServerTransport());
    break;
  case 'http':
    listen(createServer(streamable));
    break;
  case 'http2':
    listen(createHttp2Server(streamable));
    break;
  case 'https':
    listen(createTlsServer({ cert: readFileSync(values.cert), key: readFileSync(values.key) }, streamable));
    break;
  case 'sse':
    listen(createServer(events));
    break;
  default:
    console.error(`unknown transport: ${transport}`);
    process.exit(2);
}
