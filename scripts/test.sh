#!/usr/bin/env bash
# All tests, two files at a time, or with arguments what pytest is asked for. What plays visits comes after the rest: a
# visit has to be confirmed within a second, and nothing that only computes should keep a processor from it.
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
.venv/bin/python -m pytest -n 2 --dist loadfile "${rest[@]}"
second=$?
scripts/conformance.sh --brief -n 2 --dist loadgroup
third=$?
[ "$first" = 0 ] && [ "$second" = 0 ] && [ "$third" = 0 ]
