#!/usr/bin/env bash
# Finds or makes a Rust toolchain that can build for the browser (wasm32-unknown-unknown) and prints the
# variables that the Makefile needs, as `export NAME := value` lines. Progress goes to standard error.
#
# Quick way: the present toolchain has the target, or rustup can download it.
# Other way (networks that reach package registries only): Debian's rustc-web, and the standard library built
# once from Debian's rust-web-src.
set -euo pipefail
target=wasm32-unknown-unknown
say() { printf '[toolchain] %s\n' "$*" >&2; }
fail() { printf '[toolchain] error: %s\n' "$*" >&2; exit 1; }
has_target() { [ -n "$(find "$("$1" --print sysroot)/lib/rustlib/$target/lib" -name 'libcore-*.rlib' -print -quit 2>/dev/null)" ]; }

command -v cc >/dev/null || fail "a C compiler is missing. Debian: apt-get install build-essential"
command -v node >/dev/null || fail "Node.js (20 or newer) is missing. Debian: apt-get install nodejs npm"

# ATOLL_TOOLCHAIN=debian takes the other way at once (to try it where the quick way works).
if [ "${ATOLL_TOOLCHAIN:-}" != debian ] && command -v rustc >/dev/null && has_target rustc; then
  say "$(rustc --version) has the target $target"
  exit 0
fi
if [ "${ATOLL_TOOLCHAIN:-}" != debian ] && command -v rustup >/dev/null; then
  say "asking rustup for the target $target"
  if timeout 120 rustup target add "$target" >&2 && has_target rustc; then
    exit 0
  fi
  say "rustup cannot download it from here; taking Debian's toolchain"
fi

packages="rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web lld"
if ! { [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -x /usr/bin/cargo-clippy ] && [ -x /usr/bin/rustfmt ] && command -v wasm-ld >/dev/null; }; then
  command -v apt-get >/dev/null || fail "install the Rust target $target (rustup target add $target), then call make again"
  if [ "$(id -u)" = 0 ]; then
    say "installing $packages"
    { apt-get update && apt-get install -y --no-install-recommends $packages; } >&2 || fail "apt-get could not install: $packages"
  else
    fail "as root: apt-get install --no-install-recommends $packages   (then call make again)"
  fi
fi

sysroot=$(/usr/bin/rustc --print sysroot)
destination=$sysroot/lib/rustlib/$target/lib
if ! has_target /usr/bin/rustc; then
  mkdir -p "$destination" 2>/dev/null && [ -w "$destination" ] ||
    fail "$destination cannot be written. As root: make toolchain"
  say "building the standard library for $target, once (about a minute)"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/src"
  printf '[package]\nname = "standard-library"\nversion = "0.0.0"\nedition = "2021"\n' >"$work/Cargo.toml"
  : >"$work/src/lib.rs"
  (cd "$work" && env -u CARGO_TARGET_DIR -u RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
    /usr/bin/cargo build --release -Zbuild-std=std,panic_abort --target "$target" --target-dir "$work/target" >&2) ||
    fail "the standard library did not build"
  find "$work/target/$target/release/deps" -name '*.rlib' ! -name 'libstandard_library-*' -exec cp {} "$destination/" \;
  has_target /usr/bin/rustc || fail "the standard library was built but is not found in $destination"
fi
say "$(/usr/bin/rustc --version) has the target $target"
echo "export PATH := /usr/bin:$PATH"
echo "export RUSTC := /usr/bin/rustc"
echo "export CARGO := /usr/bin/cargo"
echo "export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER := wasm-ld"
