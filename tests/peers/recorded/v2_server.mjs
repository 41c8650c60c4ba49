// A server of the second TypeScript SDK: v2_server.mjs stdio|http|https [--cert FILE --key FILE].
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { listen } from './v2_http.mjs';
import { makeServer } from './v2_tools.mjs';

const { positionals: [transport], values } = parseArgs({
  allowPositionals: true, options: { cert: { type: 'string' }, key: { type: 'string' } },
});
const tls = transport === 'https' && { cert: readFileSync(values.cert), key: readFileSync(values.key) };
if (transport === 'stdio') {
  serveStdio(() => makeServer());
} else {
  const handler = createMcpHandler(() => makeServer(handler.notify));
  listen(handler, tls);
}
