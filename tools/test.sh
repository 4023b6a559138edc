#!/usr/bin/env bash
# Runs all tests in groups and counts them; the last line is "N passed, N failed". Called by `make test`, which has
# built the program and its site.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0
failed=0
say() { printf '\n[test] %s\n' "$*"; }

# A check that has no tests of its own counts as one.
check() {
  say "$1"
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); say "failed: $*"; fi
}

install_chromium() {
  command -v "${CHROMIUM:-chromium}" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing chromium"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation fonts-dejavu-core >/dev/null
  else
    say "chromium is missing. As root: apt-get install chromium"
    return 1
  fi
}

# For the sessions of several portals. As root the server is installed without a cluster of its own: the tests make
# theirs.
install_postgresql() {
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing postgresql"
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
      echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null
  else
    say "PostgreSQL's server is missing. As root: apt-get install postgresql"
    return 1
  fi
}

# Only the program, into the cache: an installed nginx would be started.
find_nginx() {
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/atoll/nginx
  NGINX=$(command -v nginx || ls /usr/sbin/nginx "$folder/usr/sbin/nginx" 2>/dev/null | head -1)
  export NGINX
  [ -n "$NGINX" ] && return
  if command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
    say "fetching nginx, once"
    [ "$(id -u)" != 0 ] || apt-get update -qq
    rm -rf "$folder" && mkdir -p "$folder" && (cd "$folder" && apt-get download -qq nginx 2>/dev/null && dpkg -x nginx_*.deb .)
    NGINX=$folder/usr/sbin/nginx
    [ -x "$NGINX" ] && return
  fi
  say "nginx is missing. As root: apt-get install nginx"
  return 1
}

rust_tests() {
  install_postgresql || failed=$((failed + 1))
  local report
  report=$(mktemp)
  "${CARGO:-cargo}" test --release --features ssr --no-fail-fast 2>&1 | tee "$report"
  local status=${PIPESTATUS[0]}
  passed=$((passed + $(awk '/^test result:/ {sum += $4} END {print sum + 0}' "$report")))
  local failures
  failures=$(awk '/^test result:/ {sum += $6} END {print sum + 0}' "$report")
  # A build that fails has no result line.
  [ "$status" -ne 0 ] && [ "$failures" = 0 ] && failures=1
  failed=$((failed + failures))
  rm -f "$report"
}

browser_tests() {
  if ! install_chromium || ! find_nginx; then
    failed=$((failed + 1))
    return
  fi
  [ -d end2end/node_modules/@playwright ] || (cd end2end && npm ci --no-audit --no-fund --loglevel=error) || {
    failed=$((failed + 1))
    return
  }
  rm -f end2end/test-results/report.json
  (cd end2end && npx playwright test)
  local counts
  counts=$(node -e '
    const { stats } = JSON.parse(require("fs").readFileSync("end2end/test-results/report.json", "utf8"))
    // A skipped test is a failed one: nothing is skipped silently.
    console.log(stats.expected, stats.unexpected + stats.flaky + stats.skipped)' 2>/dev/null || echo "0 1")
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
}

interop_tests() {
  local report counts
  report=$(mktemp)
  tools/interop.sh test | tee "$report"
  counts=$(sed -n 's/^interop: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$report" | tail -1)
  counts=${counts:-0 1}
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
  rm -f "$report"
}

cargo_deny() {
  local deny=${XDG_CACHE_HOME:-$HOME/.cache}/atoll/cargo-deny/bin/cargo-deny
  if [ ! -x "$deny" ]; then
    say "cargo-deny, once (some minutes)"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
      "${CARGO:-cargo}" install --quiet --locked cargo-deny --version 0.20.2 --root "${deny%/bin/cargo-deny}" \
      --target-dir "${XDG_CACHE_HOME:-$HOME/.cache}/atoll/cargo-deny-build" || return 1
    rm -rf "${XDG_CACHE_HOME:-$HOME/.cache}/atoll/cargo-deny-build"
  fi
  local checks="licenses bans sources"
  # Networks that reach package registries only cannot get the database of advisories.
  if timeout 20 git ls-remote --exit-code https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
    checks="advisories $checks"
  else
    say "advisories are NOT checked: their database (github.com/RustSec/advisory-db) cannot be reached from here"
  fi
  "$deny" --log-level error check $checks
}

check "format" "${CARGO:-cargo}" fmt --check
check "clippy" "${CARGO:-cargo}" clippy --release --features ssr --all-targets --quiet -- -D warnings
check "licences, advisories, sources" cargo_deny
say "unit and integration tests"
rust_tests
say "browser tests"
browser_tests
say "tests with the official vantage6 components"
interop_tests

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
