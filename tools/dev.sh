#!/usr/bin/env bash
# Rebuilds and restarts the demo whenever a source file changes. Called by `make dev`.
set -uo pipefail
cd "$(dirname "$0")/.."
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; exit 0' INT TERM EXIT
newest() { find src style public demo Cargo.toml -type f -printf '%T@\n' | sort -n | tail -1; }
echo "[dev] cargo-leptos users: \`cargo leptos watch\` reloads the browser as well"
while true; do
  seen=$(newest)
  if make --no-print-directory target/site/.built && "${CARGO:-cargo}" build --bin atoll --features ssr; then
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    target/debug/atoll serve --demo --data target/demo --site target/site &
    server=$!
  fi
  while [ "$(newest)" = "$seen" ]; do sleep 1; done
  echo "[dev] something changed"
done
