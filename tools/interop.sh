#!/usr/bin/env bash
# Tests with the official vantage6 components, each from PyPI in a virtual environment of its own:
#   tools/interop.sh setup   makes what is missing (environments in the cache, packages for containers)
#   tools/interop.sh test    runs the tests and prints how many passed and failed
# Called by `make test-interop` and `make test`, which have built the program.
set -uo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/atoll/python
say() { printf '\n[interop] %s\n' "$*"; }

# A component a line: the environment's name, then what pip installs.
environments="
client-3.11.1 vantage6-client==3.11.1 pytest==9.2.0
client-4.15.2 vantage6-client==4.15.2 pytest==9.2.0 python-socketio==5.18.1 websocket-client==1.9.0
server-4.15.2 vantage6-server==4.15.2 vantage6-backend-common==4.15.2 uwsgi==2.0.31
store-4.15.2 vantage6-algorithm-store==4.15.2 vantage6-backend-common==4.15.2 uwsgi==2.0.31
node-4.15.2 vantage6-node==4.15.2 flask==3.1.3 flask-socketio==5.7.0 gevent==25.4.2
"

# vantage6 4.15 is made for Python 3.10; with 3.11 the server needs the help that tests/interop/support gives it.
find_python() {
  local candidate
  for candidate in python3.10 "$HOME"/.pyenv/versions/3.10.*/bin/python python3.11 "$HOME"/.pyenv/versions/3.11.*/bin/python; do
    command -v "$candidate" >/dev/null && "$candidate" -c 'import venv, ensurepip' 2>/dev/null && echo "$candidate" && return
  done
  say "Python 3.10 or 3.11 with venv is missing. Debian: apt-get install python3-venv; else pyenv install 3.10" >&2
  return 1
}

set_up() {
  local python name packages
  while read -r name packages; do
    [ -n "$name" ] || continue
    [ -e "$cache/$name/.installed" ] && [ "$(cat "$cache/$name/.installed")" = "$packages" ] && continue
    python=${python:-$(find_python)} || return 1
    say "installing $packages, once"
    rm -rf "${cache:?}/$name"
    # shellcheck disable=SC2086 # several packages
    "$python" -m venv "$cache/$name" && "$cache/$name/bin/pip" install --quiet --disable-pip-version-check $packages ||
      { say "pip could not install: $packages"; return 1; }
    echo "$packages" >"$cache/$name/.installed"
  done <<<"$environments"
  . tools/containers.sh
  set_up_containers
}

passed=0
failed=0

# Takes the counts of pytest's last line; a run without one is a failure.
pytest_group() {
  local environment=$1 report
  shift
  report=$(mktemp)
  say "$environment: $*"
  "$cache/$environment/bin/python" -m pytest -q -p no:cacheprovider -o junit_family=xunit2 "--junitxml=$report.xml" "$@"
  local counts
  counts=$(python3 - "$report.xml" <<'PY' || echo "0 1"
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
total, wrong = int(suite.get("tests")), sum(int(suite.get(name)) for name in ("failures", "errors", "skipped"))
print(total - wrong, wrong)
PY
)
  [ "$counts" = "0 0" ] && counts="0 1"
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
  rm -f "$report" "$report.xml"
}

browser_group() {
  [ -d end2end/node_modules/@playwright ] || (cd end2end && npm ci --no-audit --no-fund --loglevel=error) || {
    failed=$((failed + 1))
    return
  }
  say "the portal in front of the real server"
  rm -f end2end/test-results/interop-report.json
  (cd end2end && npx playwright test -c playwright.interop.config.ts)
  local counts
  counts=$(node -e '
    const { stats } = JSON.parse(require("fs").readFileSync("end2end/test-results/interop-report.json", "utf8"))
    console.log(stats.expected, stats.unexpected + stats.flaky + stats.skipped)' 2>/dev/null || echo "0 1")
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
}

case "${1:-}" in
setup) set_up ;;
test)
  set_up || { echo "interop: 0 passed, 1 failed"; exit 1; }
  pytest_group client-3.11.1 tests/interop/client_3_11
  pytest_group client-4.15.2 tests/interop/client_4_15
  browser_group
  echo "interop: $passed passed, $failed failed"
  [ "$failed" = 0 ]
  ;;
*) echo "usage: tools/interop.sh setup|test" >&2 && exit 2 ;;
esac
