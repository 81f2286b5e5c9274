// A certified OpenID Connect provider (oidc-provider) on loopback, with people of a test.
// node provider.mjs FOLDER PORT CLIENT_ID CLIENT_SECRET USERS: FOLDER holds node_modules, USERS is JSON: claims by login.
// Whoever types a login of USERS, and any password, is that person. Tokens last as long as in production.
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, port, clientId, secret, users] = process.argv.slice(2);
const module = join(folder, "node_modules", "oidc-provider", "lib", "index.js");
const { default: Provider } = await import(pathToFileURL(module));
const people = JSON.parse(users);

const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: clientId,
    client_secret: secret,
    application_type: "native", // so that the port of the redirect address does not matter (RFC 8252, 7.3)
    redirect_uris: ["http://127.0.0.1/login/oidc/callback"],
    grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
    response_types: ["code"],
  }],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  conformIdTokenClaims: false, // claims are in the ID token, as Keycloak and Dex have it
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
  findAccount: (_context, login) =>
    login in people ? { accountId: login, claims: () => ({ sub: login, ...people[login] }) } : undefined,
});
createServer(provider.callback()).listen(Number(port), "127.0.0.1");
