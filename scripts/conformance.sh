#!/usr/bin/env bash
# The conformance kit on our own connectors, as anybody runs it on theirs: `scripts/conformance.sh [NAME] [ARGS…]`.
# Each line is a bench; whoever adds a connector adds a line.
set -uo pipefail
cd "$(dirname "$0")/.."
benches=(
    lab
    tests.connectors.asterisk.bench:AsteriskBench
    tests.connectors.asterisk_ami.bench:AmiBench
    tests.connectors.freepbx.bench:FreePbxBench
    tests.connectors.fusionpbx.bench:FusionPbxBench
    tests.connectors.cucm.bench:CucmBench
    tests.connectors.tcx.bench:TcxBench
    tests.connectors.yeastar.bench:YeastarBench
    tests.connectors.avaya_cm.bench:AvayaBench
)
chosen=()
for bench in "${benches[@]}"; do
    case "${1:-}" in
        "" | -*) chosen+=("--connector=$bench") ;;
        "$bench") chosen+=("--connector=$bench"); shift; break ;;
    esac
done
[ ${#chosen[@]} -gt 0 ] || { chosen=("--connector=$1"); shift; }
exec .venv/bin/python -m pytest "${chosen[@]}" "$@"
