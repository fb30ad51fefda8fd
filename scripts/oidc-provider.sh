#!/bin/sh
# Installs the certified OpenID provider that tests sign in with (npm oidc-provider), from a lock that has a digest for
# every file and no address, into an ignored folder. Without npm, or where its registry cannot be reached, those tests
# say aloud that they were skipped; with `must` this fails instead. A stamp keeps a warm start at no cost.
set -eu
cd "$(dirname "$0")/../tests/support/oidc_provider"
stamp=node_modules/.lock
if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then exit 0; fi

without() {
    echo "$1 Without it, signing in with a customer's own provider is not tested." >&2
    [ "${2:-}" = must ] && exit 1
    exit 0
}
command -v npm >/dev/null || without "npm is missing (Debian: apt-get install npm)." "${1:-}"
echo "setting up the OpenID provider of the tests ..." >&2
npm ci --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --silent ||
    without "npm could not install the OpenID provider." "${1:-}"
cp package-lock.json "$stamp"
