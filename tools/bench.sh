#!/usr/bin/env bash
# Measures a release build from real runs and prints the rows of docs/benchmarks.md. Called by `make bench`.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v wrk >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk >/dev/null
  else
    echo "wrk is missing. As root: apt-get install wrk" >&2
    exit 1
  fi
fi
python=${XDG_CACHE_HOME:-$HOME/.cache}/atoll/pandas/bin/python
if [ ! -x "$python" ]; then
  python3 -m venv "${python%/bin/python}" && "$python" -m pip install --quiet pandas==2.2.3
fi
[ -d end2end/node_modules/@playwright ] || (cd end2end && npm ci --no-audit --no-fund --loglevel=error)
PANDAS_PYTHON=$python node end2end/bench.mjs
