#!/bin/sh
# Installs what the portal's pages with a terminal load, from package-lock.json, which has a digest for every file and
# no address. Without npm, or where its registry cannot be reached, all of Frameroom works but watching and playback in
# a browser, and this says so; with `must` it fails instead. With `dev` comes what tests of the pages use, too; it stays
# in node_modules. A stamp keeps a warm start at no cost.
set -eu
cd "$(dirname "$0")/.."
into=gateway/portal/static/vendor
stamp=$into/.lock
omit=--omit=dev
[ "${1:-}" = dev ] && omit=
if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp" && { [ -n "$omit" ] || [ -f node_modules/axe-core/axe.min.js ]; }; then
    exit 0
fi

without() {
    echo "$1 Without it terminals cannot be watched or played in a browser; everything else works." >&2
    [ "${2:-}" = must ] && exit 1
    exit 0
}
command -v npm >/dev/null || without "npm is missing (Debian: apt-get install npm)." "${1:-}"
echo "setting up the portal's player ..." >&2
# shellcheck disable=SC2086 # nothing, or one word
npm ci $omit --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --silent ||
    without "npm could not install the portal's player." "${1:-}"
from=node_modules/asciinema-player
rm -rf "$into"
mkdir -p "$into"
cp "$from/dist/bundle/asciinema-player.min.js" "$from/dist/bundle/asciinema-player.css" "$into/"
cp "$from/LICENSE" "$into/asciinema-player.LICENSE"
cp package-lock.json "$stamp"
