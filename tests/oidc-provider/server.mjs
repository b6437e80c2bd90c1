// An OpenID provider for tests: npm's `oidc-provider`, with people who have any password.
//
// Arguments: the directory with node_modules, and settings as JSON:
//   {"port": 8443, "idTokenSeconds": 3600, "key": PEM, "certificate": PEM}
// Says `ready` once it listens. Takes commands on standard input, a line each, and says `done` after each:
//   rotate        sign with a new key from now on, and forget the old one
//   forget        give no refresh token's holder anything any more
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [modules, settingsText] = process.argv.slice(2);
const settings = JSON.parse(settingsText);
const { Provider } = await import(
  pathToFileURL(`${modules}/node_modules/oidc-provider/lib/index.js`).href
);
const issuer = `https://localhost:${settings.port}`;

const PEOPLE = {
  alice: { email: 'alice@example.com', email_verified: true, groups: ['platform', 'dev'] },
  mallory: { email: 'alice@example.com', email_verified: false, groups: ['platform'] },
};

let refreshing = true;

function provider() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomUUID() };
  const made = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [
      {
        client_id: 'berth-cli',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback'],
        response_types: ['code'],
        grant_types: [
          'authorization_code',
          'refresh_token',
          'urn:ietf:params:oauth:grant-type:device_code',
        ],
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    conformIdTokenClaims: false,
    scopes: ['openid', 'email', 'groups', 'offline_access'],
    features: {
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: true },
    },
    pkce: { required: () => true },
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    ttl: {
      IdToken: settings.idTokenSeconds,
      AccessToken: 600,
      DeviceCode: settings.deviceCodeSeconds ?? 600,
      RefreshToken: 86400,
      Grant: 86400,
      Session: 86400,
      Interaction: 600,
      AuthorizationCode: 60,
    },
    cookies: { keys: [randomUUID()] },
    findAccount: async (_, id) => {
      if (!(id in PEOPLE)) return undefined;
      return { accountId: id, claims: async () => ({ sub: id, ...PEOPLE[id] }) };
    },
  });
  made.on('server_error', (_, error) => console.error(error));
  const callback = made.callback();
  return (request, response) => {
    if (!refreshing && request.method === 'POST' && request.url.startsWith('/token')) {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: 'invalid_grant', error_description: 'forgotten' }));
      return;
    }
    callback(request, response);
  };
}

let answer = provider();
const server = createServer({ key: settings.key, cert: settings.certificate }, (request, response) =>
  answer(request, response),
);
server.listen(settings.port, '127.0.0.1', () => console.log('ready'));

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'rotate') answer = provider();
  if (line === 'forget') refreshing = false;
  console.log('done');
}
// Whoever started it has gone.
process.exit(0);
