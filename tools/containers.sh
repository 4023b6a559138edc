#!/usr/bin/env bash
# What a machine needs to run containers for the tests with the real vantage6 node: podman with its network plugins,
# runc, and a busybox without libraries, of which the tests make their image. Called on its own it sets them up;
# sourced, it offers the function set_up_containers, which can be called again at any time.
#
# Nothing else of the machine changes. Podman's settings, storage, networks and socket are the tests' own
# (tests/interop/support/containers.py, by CONTAINERS_CONF and podman's options): /etc/containers is not written.

# The Debian packages that are missing.
missing_container_packages() {
  command -v podman >/dev/null || echo podman
  command -v runc >/dev/null || echo runc
  [ -x /usr/lib/cni/bridge ] || [ -x /usr/lib/podman/netavark ] || [ -x /usr/libexec/podman/netavark ] ||
    echo containernetworking-plugins
  # A busybox that needs libraries names the program that loads them.
  { command -v busybox >/dev/null && ! head -c 4096 "$(command -v busybox)" | grep -q '/ld-'; } || echo busybox-static
}

set_up_containers() {
  local packages
  packages=$(missing_container_packages | tr '\n' ' ')
  packages=${packages% }
  if [ -n "$packages" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      printf '[containers] as root: apt-get install --no-install-recommends %s\n' "$packages" >&2
      return 1
    fi
    printf '[containers] installing %s\n' "$packages" >&2
    # shellcheck disable=SC2086
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >&2 || return 1
  fi
  printf '[containers] all that containers need is there\n' >&2
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -uo pipefail
  set_up_containers
fi
