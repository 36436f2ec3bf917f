#!/usr/bin/env bash
# One gate, anywhere: bash gate.sh with what it compares in the environment. Exit code 1 is a regression, 2 a wrong request,
# 4 a failure; 3 (it cannot be told) becomes 0 with a warning unless FAIL_INCONCLUSIVE=true.
set -uo pipefail
BASELINE=${BASELINE:-baseline.json} CANDIDATE=${CANDIDATE:-model} NAME=${NAME:-gate} OUT=${OUT:-slimner-gate}

if [ ! -e "$BASELINE" ]; then  # said before minutes of measuring, not after
    echo "no baseline $BASELINE: commit one with 'slimner baseline update $BASELINE slimner-report/results.json'" >&2
    exit 2
fi
if [ -f "$BASELINE" ] && [ -d "$CANDIDATE" ] && [ ! -e "$CANDIDATE/results.json" ] && [ ! -e "$CANDIDATE/manifest.json" ]; then
    # recorded figures are compared with a run's: the candidate is a checkpoint that has none yet
    slimner run "$CANDIDATE" --corpus "${CORPUS:?the labelled sentences}" --variants "fp32,${VARIANT:?which variant}" \
        --out "$OUT/$NAME"
    code=$?
    [ "$code" -le 1 ] || exit "$code"  # 1: no variant fits the built-in policy; the gate has its own
    CANDIDATE=$OUT/$NAME/results.json
fi
mkdir -p "$OUT"
slimner gate --baseline "$BASELINE" --candidate "$CANDIDATE" ${VARIANT:+--variant "$VARIANT"} ${CORPUS:+--corpus "$CORPUS"} \
    ${POLICY:+--policy "$POLICY"} --budget "${BUDGET:-300s}" ${GITHUB_ACTIONS:+--github} \
    --junit "$OUT/$NAME.xml" --out "$OUT/$NAME.json" --comment "$OUT/$NAME.md"
code=$?
if [ "$code" = 3 ] && [ "${FAIL_INCONCLUSIVE:-false}" != true ]; then
    echo "${GITHUB_ACTIONS:+::warning title=slimner gate::}it cannot be told yet; this does not fail the job"
    exit 0
fi
exit "$code"
