# make run    build what is missing and start the demo
# make test   run all tests
# make test-interop   only the tests with the official vantage6 components
# make attack try the attacks that the documents name, and print what held
# make build  target/release/atoll and its site
# make dev    rebuild and restart on a change
# make bench  measure
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/atoll
target := $(or $(CARGO_TARGET_DIR),target)

# Which Rust to use; written by tools/toolchain.sh, read by make before anything else.
toolchain := target/toolchain.mk
ifeq (,$(filter help clean,$(or $(MAKECMDGOALS),help)))
-include $(toolchain)
endif
CARGO ?= cargo

wasm_bindgen_version := $(shell sed -n 's/^wasm-bindgen = .*version = "=\([0-9.]*\)".*/\1/p' Cargo.toml)
wasm_bindgen := $(cache)/wasm-bindgen-$(wasm_bindgen_version)/bin/wasm-bindgen
wasm_opt := tools/node_modules/.bin/wasm-opt
wasm := $(target)/wasm32-unknown-unknown/wasm-release/atoll.wasm
site := target/site

rust_sources := $(shell find src demo -type f) Cargo.toml Cargo.lock .cargo/config.toml
browser_sources := src/lib.rs $(shell find src/islands -name '*.rs') Cargo.toml Cargo.lock .cargo/config.toml

.PHONY: help
help:
	@sed -n 's/^# make/make/p' Makefile

$(toolchain): tools/toolchain.sh
	@mkdir -p target
	@tools/toolchain.sh >$@.new && mv $@.new $@

.PHONY: toolchain
toolchain: $(toolchain)

# --- building ---------------------------------------------------------------------------------------------------

.PHONY: build
build: $(site)/.built target/release/atoll

$(wasm_bindgen):
	@echo "[build] wasm-bindgen $(wasm_bindgen_version), once (about two minutes)"
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
		$(CARGO) install --quiet wasm-bindgen-cli --version $(wasm_bindgen_version) \
		--root $(cache)/wasm-bindgen-$(wasm_bindgen_version) --target-dir $(cache)/wasm-bindgen-build
	@rm -rf $(cache)/wasm-bindgen-build

tools/node_modules/.installed: tools/package.json tools/package-lock.json
	@echo "[build] wasm-opt and the CSS minifier"
	cd tools && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(wasm): $(browser_sources)
	@echo "[build] the browser's part"
	$(CARGO) build --lib --target wasm32-unknown-unknown --no-default-features --features hydrate --profile wasm-release
	@touch $@

$(site)/.built: $(wasm) $(wasm_bindgen) tools/node_modules/.installed tools/site.mjs $(shell find style public -type f)
	@echo "[build] the site"
	@mkdir -p target/browser $(site)
	$(wasm_bindgen) --target web --no-typescript --out-dir target/browser --out-name atoll $(wasm)
	$(wasm_opt) -Oz --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals \
		--enable-reference-types --enable-multivalue target/browser/atoll_bg.wasm -o target/browser/atoll_bg.wasm
	node tools/site.mjs target/browser $(site)
	@touch $@

target/release/atoll: $(rust_sources)
	@echo "[build] the server (the first time takes some minutes)"
	$(CARGO) build --release --bin atoll --features ssr
	@mkdir -p target/release
	@[ "$(target)" = target ] || cp $(target)/release/atoll target/release/atoll
	@touch $@

# --- running ----------------------------------------------------------------------------------------------------

.PHONY: run
run: build
	@target/release/atoll serve --demo --data target/demo --site $(site)

# cargo-leptos users: `cargo leptos watch` does the same with reloading in the browser.
.PHONY: dev
dev: build
	tools/dev.sh

# --- testing ----------------------------------------------------------------------------------------------------

.PHONY: test
test: build
	tools/test.sh

# Only those with the official vantage6 components
.PHONY: test-interop
test-interop: build
	tools/interop.sh test

# Those tests that attack, with what they cost
.PHONY: attack
attack: build
	tools/attack.sh

.PHONY: bench
bench: build
	tools/bench.sh

.PHONY: clean
clean:
	rm -rf target
