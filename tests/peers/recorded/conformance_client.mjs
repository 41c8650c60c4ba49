// The client that the official conformance suite judges, one scenario in each process: conformance_client.mjs URL.
// The suite logs most of what it is asked; what it does not log, this client tells as it passes its own transport.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Ledger, print } from './truth.mjs';

const url = new URL(process.argv.at(-1));
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const given = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const REDIRECT = 'http://localhost:3000/callback';

/** Somebody who grants everything at once: the suite's pages of consent answer with a code. */
class Granted {
  redirectUrl = REDIRECT;
  clientMetadata = { client_name: 'conformance-client', redirect_uris: [REDIRECT] };
  clientMetadataUrl = 'https://conformance-test.local/client-metadata.json';
  #client = given.client_id && { client_id: given.client_id, client_secret: given.client_secret };

  clientInformation = () => this.#client;
  saveClientInformation = (client) => { this.#client = client; };
  tokens = () => this.kept;
  saveTokens = (tokens) => { this.kept = tokens; };
  codeVerifier = () => this.verifier;
  saveCodeVerifier = (verifier) => { this.verifier = verifier; };

  async redirectToAuthorization(page) {
    const answer = await fetch(page, { redirect: 'manual' });
    this.code = new URL(answer.headers.get('location')).searchParams.get('code');
  }
}

function provider() {
  const { client_id: clientId, client_secret: clientSecret, private_key_pem: privateKey } = given;
  if (scenario.startsWith('auth/client-credentials')) {
    return privateKey
      ? new PrivateKeyJwtProvider({ clientId, privateKey, algorithm: given.signing_algorithm })
      : new ClientCredentialsProvider({ clientId, clientSecret });
  }
  return scenario.startsWith('auth/') ? new Granted() : undefined;
}

const authProvider = provider();
const ledger = new Ledger(() => undefined);
print({ type: 'peer', client_pid: process.pid });

/** Does `act`, again after each round of consent that it asks for. */
async function granted(transport, act, rounds = 3) {
  try {
    return await act();
  } catch (error) {
    if (!authProvider?.code || rounds === 0) throw error;
    const { code } = authProvider;
    authProvider.code = undefined;
    await transport().finishAuth(code);
    return granted(transport, act, rounds - 1);
  }
}

let transport;
let client;
const connect = async () => {
  transport = new StreamableHTTPClientTransport(url, { authProvider });
  client = new Client(
    { name: 'conformance-client', version: '1.0' }, { capabilities: { elicitation: { form: { applyDefaults: true } } } },
  );
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
  await client.connect(ledger.watch(transport));
};
/** What each tool of the suite is called with. */
const ARGUMENTS = { add_numbers: { a: 5, b: 3 } };
try {
  await granted(() => transport, connect);
  const { tools } = await granted(() => transport, () => client.listTools());
  for (const { name } of tools) {
    await granted(() => transport, () => client.callTool({ name, arguments: ARGUMENTS[name] ?? {} }));
  }
} catch (error) {
  // Some scenarios are about servers that are to be turned away.
  console.error(error.message);
}
ledger.close();
await transport.close();
// Connections that are kept for later would keep the process too.
process.exit(0);
