#!/bin/sh
# Checks and measures this toolkit on a machine with a GPU: sh benchmarks/gpu.sh [OUTPUT.json]
# Runs the device tests on the real GPU and the tests of golden numbers where pytest is installed, then trains
# the reference model for 200 steps in each precision, and translates with beams 1 and 5 in batches of 30 to 512.
# PYTHON names the interpreter, one with torch and the packages of constraints.txt.
set -u
cd "$(dirname "$0")/.." || exit 1
PYTHON=${PYTHON:-python3}
OUTPUT=${1:-gpu.json}
failed=0
if "$PYTHON" -c 'import pytest' 2>/dev/null; then
    "$PYTHON" -m pytest -q -m gpu test/device || failed=1
    "$PYTHON" -m pytest -q -m '' -k golden test || failed=1
else
    echo 'pytest is not installed: the tests are left out' >&2
fi
"$PYTHON" -m benchmarks.gpu "$OUTPUT" || exit $?
echo "Wrote $OUTPUT"
exit $failed
