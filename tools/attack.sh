#!/usr/bin/env bash
# Tries the attacks that the documents name and prints what held. Called by `make attack`; `make test` runs the same tests.
set -uo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp)
trap 'rm -f "$report"' EXIT
# What hostile programs send differs each time; the same seed sends the same.
export ATOLL_ATTACK_SEED=${ATOLL_ATTACK_SEED:-$RANDOM}
echo "Seed: $ATOLL_ATTACK_SEED (ATOLL_ATTACK_SEED=$ATOLL_ATTACK_SEED make attack tries the same again)"
"${CARGO:-cargo}" test --release --features ssr --no-fail-fast --lib --test attack --test disclosure --test hostile \
  --test access --test hub --test node --test review --test survival -- --nocapture >"$report" 2>&1
status=$?
echo
echo "What was tried, and what it cost:"
sed -n 's/^attack: /  /p' "$report"
echo
echo "What held:"
sed -n 's/^test \(.*\) \.\.\. ok$/  \1/p' "$report" | tr _ ' '
if grep -q '^test .* FAILED$' "$report" || [ "$status" -ne 0 ]; then
  echo
  echo "What did not:"
  sed -n 's/^test \(.*\) \.\.\. FAILED$/  \1/p' "$report" | tr _ ' '
  grep -A5 'panicked at' "$report"
  exit 1
fi
