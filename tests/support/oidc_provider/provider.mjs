// A real OpenID provider on loopback: `node provider.mjs FILE`. FILE is JSON: {"clients": [...], "accounts": {sub: claims}};
// it is read again for every account, so that a test changes what the provider says of somebody. Prints its issuer.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const told = () => JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: told().clients,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    findAccount: (_, sub) => {
      const claims = told().accounts[sub];
      return claims && { accountId: sub, claims: () => ({ sub, ...claims }) };
    },
    // As many providers do; with false the address stands in the id_token itself.
    conformIdTokenClaims: told().userinfo,
    cookies: { keys: ["a test's own"] },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
// Whoever started this is gone when its pipe is.
process.stdin.on("end", () => process.exit(0)).resume();
