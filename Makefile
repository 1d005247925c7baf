# The one entrance: `make` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

DEMO_ARGS ?=
IMAGE_ARGS ?=
FUZZ_SECONDS ?= 60
TEST_ARGS ?=

.PHONY: help demo demo-stack test lint bench docs fuzz tools release image charts clean-tools

help: ## list the targets
	@echo "vod-callback-exporter: what make can do"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build, then run the exporter beside a simulated video platform (DEMO_ARGS=..)
	@echo "Building; the first time takes a few minutes. Ctrl-C ends the demo."
	@cargo run --bin vod-callback-exporter -- demo $(DEMO_ARGS)

demo-stack: ## the demo with a real Prometheus, the alert rules, Alertmanager and a screen for notifications
	@scripts/demo-stack

# Tests that are judged by real servers and SDKs find them here, and fail where one is missing.
# Without the variable (plain `cargo test`) they are skipped.
test: export VOD_REFEREES := $(CURDIR)/.tools
# The crash test kills what is shipped, which is built for the image.
test: export VOD_RELEASED_EXPORTER := $(if $(TEST_ARGS),,$(CURDIR)/target/image/root/vod-callback-exporter)
test: tools lint $(if $(TEST_ARGS),,image-files) ## all checks and tests, real servers and SDKs included (TEST_ARGS=..)
	cargo test --doc --quiet
	scripts/test $(TEST_ARGS)

lint: ## formatting, clippy, rustdoc, shell scripts, licences; warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run $(filter-out %.py,$(wildcard scripts/*)) tests/image/contain; \
	  else echo "lint: shellcheck is not installed, shell scripts unchecked"; fi
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check bans licenses sources; \
	  else echo "lint: cargo-deny is not installed, licences unchecked"; fi

bench: ## benchmarks; method and results are in docs/performance.md
	EXPORTER="$$(scripts/release | tail -1)"; export EXPORTER; cargo bench --benches

docs: ## write the generated pages under docs/ and the dashboards anew, then build the API documentation
	UPDATE_DOCS=1 cargo test --quiet --tests documentation
	python3 dashboards/source
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

fuzz: ## run every fuzz target for FUZZ_SECONDS each
	scripts/fuzz $(FUZZ_SECONDS)

tools: ## fetch into .tools/ what the tests need (says what, and what needs root)
	@scripts/tools

release: ## one static binary; the last line of output is its path
	@scripts/release

image: ## the container image, by buildah, podman or docker (IMAGE_ARGS="--arch=arm64 --tag=NAME --builder=podman")
	@scripts/image $(IMAGE_ARGS)

# Built before the whole suite, since a test's time is limited; the one that needs it finds it fresh.
.PHONY: image-files
image-files:
	@scripts/image --root=target/image/root

charts: ## copy rules, dashboards and shared templates into the charts (scripts/charts)
	@scripts/charts sync

clean-tools: ## forget what `make tools` fetched
	rm -rf .tools
