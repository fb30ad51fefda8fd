#!/bin/sh
# Makes .venv with pinned, hashed requirements: `scripts/venv.sh run` or `scripts/venv.sh dev`.
# A stamp file keeps a warm start at no cost; a changed requirement file makes it run again.
set -eu
cd "$(dirname "$0")/.."
want=${1:-run}
stamp=.venv/.stamp-$want
current=$(cat requirements/uv.txt "requirements/$want.txt" pyproject.toml | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$current" ]; then exit 0; fi

# Shims can exist and fail, so an interpreter counts only once it has run what is needed.
python=
for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "No Python 3.11 or newer with venv and ensurepip was found. Install one (Debian: python3 and python3-venv), or name it: PYTHON=/path/to/python3 make ..." >&2
    exit 1
fi
[ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null || { rm -rf .venv; "$python" -m venv .venv; }
echo "setting up .venv ($want) ..." >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
# Compiled once here: where Python may write no bytecode, each command would compile two thousand modules anew.
.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes -r "requirements/$want.txt"
# The project itself by a path file, so that it needs neither a build nor a download.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
pwd > "$site/frameroom-here.pth"
printf '#!/bin/sh\nexec "%s/.venv/bin/python" -m gateway.cli.main "$@"\n' "$(pwd)" > .venv/bin/frameroom
chmod +x .venv/bin/frameroom
echo "$current" > "$stamp"
