#!/usr/bin/env bash
# The same gate without GitHub. It ends with the gate's exit code: 0 no worse, 1 a regression, 3 cannot tell, 2 and 4 it did not run.
set -euo pipefail
CHECKPOINT=${CHECKPOINT:-model} CORPUS=${CORPUS:-test.jsonl} VARIANT=${VARIANT:-onnx-int8}
BASELINE=${BASELINE:-baseline.json} POLICY=${POLICY:-policy.toml}

if [ ! -e "$BASELINE" ]; then  # said before minutes of measuring, not after
    echo "no baseline $BASELINE: commit one with 'slimner baseline update $BASELINE candidate/results.json --variant $VARIANT'" >&2
    exit 2
fi
slimner run "$CHECKPOINT" --corpus "$CORPUS" --variants "fp32,$VARIANT" --out candidate
slimner gate --baseline "$BASELINE" --candidate candidate/results.json --variant "$VARIANT" --policy "$POLICY" --junit gate.xml

# Where the checkpoint of the target branch is at hand, latency too, measured in pairs on this machine.
if [ -n "${BEFORE:-}" ]; then
    slimner gate --baseline "$BEFORE" --candidate "$CHECKPOINT" --variant "$VARIANT" --corpus "$CORPUS" \
        --policy "$POLICY" --junit gate-pairs.xml
fi
