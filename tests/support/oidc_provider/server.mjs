// A real OpenID provider on loopback: `oidc-provider` with the clients and people of a JSON file.
//
// Usage: node server.mjs FILE, whose object has `issuer`, `port`, `clients`, `people`, `jwks`.
// It prints one line, `serving`, once it listens.
import { readFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const plan = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { issuer, port, clients, jwks } = plan;

// People come and go while it runs: their file is read whenever they are asked for.
const people = () => JSON.parse(readFileSync(process.argv[2], 'utf8')).people;

// The format and audience of access tokens by the resource that clients ask for.
const resources = {
  'urn:drink:jwt': ['jwt', 'urn:drink:jwt'],
  'urn:drink:opaque': ['opaque', 'urn:drink:opaque'],
  'urn:drink:api': ['jwt', 'drink-api'],
};

const provider = new Provider(issuer, {
  clients,
  jwks,
  cookies: { keys: ['a test needs no secret'] },
  claims: { openid: ['sub', 'sid'], profile: ['name', 'preferred_username', 'groups'] },
  conformIdTokenClaims: plan.userinfo === true,
  pkce: { required: () => true },
  ttl: { Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600, AccessToken: 600 },
  responseTypes: ['code'],
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => {
        if (!(resource in resources)) throw new Error(`no resource ${resource}`);
        const [format, audience] = resources[resource];
        return {
          scope: 'openid profile',
          audience,
          accessTokenTTL: 600,
          accessTokenFormat: format,
          jwt: { sign: { alg: 'RS256' } },
        };
      },
    },
  },
  // Its own agent calls no address of this computer.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  // JWT access tokens say who is a member, as those of Keycloak do.
  extraTokenClaims: (ctx, token) => ({ groups: people()[token.accountId]?.groups ?? [] }),
  findAccount: (ctx, id) => {
    const known = people();
    return id in known ? { accountId: id, claims: () => ({ sub: id, ...known[id] }) } : undefined;
  },
  // Nobody is asked for consent: the house's own services have it.
  loadExistingGrant: async (ctx) => {
    const { client, session, params } = ctx.oidc;
    const id = session.grantIdFor(client.clientId);
    const grant = id
      ? await ctx.oidc.provider.Grant.find(id)
      : new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid profile offline_access');
    if (params.resource) grant.addResourceScope(params.resource, 'openid profile');
    await grant.save();
    return grant;
  },
});

provider.on('server_error', (ctx, error) => console.error('server_error', error));
provider.on('backchannel.error', (ctx, error) => console.error('backchannel.error', error));
provider.listen(port, '127.0.0.1', () => console.log('serving'));
