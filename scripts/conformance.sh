#!/usr/bin/env bash
# The conformance kit on our own connectors, as anybody runs it on theirs: `scripts/conformance.sh [NAME] [ARGS…]`.
# Each line is a bench; whoever adds a connector adds a line. `--brief` is what `make test` runs: the kit whole on
# `whole`, and on `others`, whose own tests try their operations, what it asks of coming in, the guard and secrets.
set -uo pipefail
cd "$(dirname "$0")/.."
whole=(
    lab
    tests.connectors.asterisk.bench:AsteriskBench
    tests.connectors.asterisk_ami.bench:AmiBench
)
others=(
    tests.connectors.asterisk_files.bench:AsteriskFilesBench
    tests.connectors.tcx.bench:TcxBench
    tests.connectors.freepbx.bench:FreePbxBench
    tests.connectors.freepbx.bench:FreePbxApiBench
    tests.connectors.cucm.bench:CucmBench
    tests.connectors.fusionpbx.bench:FusionPbxBench
    tests.connectors.yeastar.bench:YeastarBench
    tests.connectors.avaya_cm.bench:AvayaBench
)
kit() { .venv/bin/python -m pytest "$@"; }
if [ "${1:-}" = --brief ]; then
    shift
    kit "${whole[@]/#/--connector=}" "$@"
    first=$?
    kit "${others[@]/#/--connector=}" -k "test_coming_in or test_guard or test_secrecy" "$@"
    second=$?
    [ "$first" = 0 ] && [ "$second" = 0 ]
    exit
fi
case "${1:-}" in
    "" | -*) kit "${whole[@]/#/--connector=}" "${others[@]/#/--connector=}" "$@" ;;
    *) name=$1; shift; kit "--connector=$name" "$@" ;;
esac
