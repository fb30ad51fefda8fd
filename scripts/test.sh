#!/usr/bin/env bash
# All tests, or with arguments what pytest is asked for. Where no visit has to be confirmed within a second, two files
# run at a time; whatever plays visits has the machine to itself, as a gateway has.
set -uo pipefail
cd "$(dirname "$0")/.."
# Many tests start commands of ours as processes: none of them should compile our modules anew.
unset PYTHONDONTWRITEBYTECODE
together="access audit cli config connectors gateway identity keeping notify portal reconciling session/door session/resets store streams"
if [ $# -gt 0 ]; then exec .venv/bin/python -m pytest "$@"; fi
folders=() rest=()
for name in $together; do folders+=("tests/$name") rest+=("--ignore=tests/$name"); done
.venv/bin/python -m pytest -n 2 --dist loadfile "${folders[@]}"
first=$?
.venv/bin/python -m pytest "${rest[@]}"
second=$?
scripts/conformance.sh -n 2 --dist loadgroup
third=$?
[ "$first" = 0 ] && [ "$second" = 0 ] && [ "$third" = 0 ]
