# Every task of the project. `make` alone lists them.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build demo test conformance compose-test helm-test faults lint audit bench fuzz models goldens wheel clean

PYTHON_TESTS := tests/python tests/convert tests/console tests/conformance/quick tests/deploy schemas models load/models
DENY := .native/cargo-deny/bin/cargo-deny
DENY_VERSION := 0.20.2
# The advisories come from a repository on the network; without it, leave them out and know that they are.
AUDIT_CHECKS ?= advisories bans licenses sources
MODELS_VENV := .native/models-venv
BIG_MODELS := load/models/resnet50/1/model.onnx load/models/mlp/1/model.onnx
# The engine that is linked, not loaded: tests run with it. Without it a dozen crates less are built, and no other differs.
FEATURES := --features millrace-infer/torch
# All but libtorch, which the demo can do without.
DEMO_STEPS := system databases kafka registry onnxruntime openvino python
FUZZ_SECONDS ?= 60

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## Install what the project needs: packages, Kafka, the engines, Python (safe to repeat)
	@scripts/setup

build: setup ## Build all programs, optimised, into target/release
	cargo build --release --workspace --bins

demo: export CARGO_INCREMENTAL := 0
demo: ## Start a broker and the services, and show the whole line at work (ARGS=--once to stop then)
	@scripts/setup $(DEMO_STEPS)
	cargo build --workspace --bins
	.venv/bin/python scripts/demo $(ARGS)

# One broker for all tests. demo and test share what they compile, once: incremental compilation would only cost time.
test: export CARGO_INCREMENTAL := 0
test: setup lint $(BIG_MODELS) ## Run everything that must pass: lints, build, Rust and Python tests on a real broker
	cargo build --workspace $(FEATURES) --all-targets
	scripts/with-broker scripts/with-databases $(MAKE) --no-print-directory _tests

.PHONY: _tests
# All run even when one fails, so that one run tells everything. The full rows of faults are `make faults`.
_tests:
	failed=0; \
	cargo test --workspace $(FEATURES) --no-fail-fast -- --skip full:: || failed=1; \
	.venv/bin/python -m pytest -q -p no:cacheprovider $(PYTHON_TESTS) || failed=1; \
	(cd clients/python && ../../.venv/bin/python -m pytest -q) || failed=1; \
	exit $$failed

conformance: setup ## Point clients that nobody here wrote at a running line (installs about 1 GB of them, once)
	@scripts/setup conformance
	cargo build --workspace --bins
	scripts/with-broker $(MAKE) --no-print-directory _conformance

.PHONY: _conformance
# Apart, because the gRPC clients of Triton and KServe bring the same messages and cannot be in one process.
_conformance:
	failed=0; \
	for folder in quick full; do \
	  .native/conformance-venv/bin/python -m pytest -q -p no:cacheprovider tests/conformance/$$folder $(ARGS) || failed=1; \
	done; \
	exit $$failed

# As root, on a Debian machine: it installs a Docker engine and starts one of its own. COMPOSE_TEST_DIR is where (some gigabytes).
compose-test: ## Build the images and run deploy/compose on a Docker engine of its own (half an hour; ARGS='line kill')
	scripts/compose/test $(ARGS)

helm-test: export CARGO_INCREMENTAL := 0
helm-test: setup ## Look at deploy/helm with helm lint, helm template and the services' own checks
	cargo build --workspace $(FEATURES) --bins
	scripts/helm-test

# The services refuse variables of their prefix that they do not know, so these have none.
faults: export FAULT_RECORDS ?= 20000
faults: export FAULTS_REPORT := $(CURDIR)/target/faults.tsv
faults: export CARGO_INCREMENTAL := 0
# The build without guards is for the rows of `controls` only: it goes beside the others, which are built again over it.
faults: setup ## Every fault on three brokers, with more records; writes reports/faults.md (about 40 minutes)
	cargo build --workspace $(FEATURES),millrace-infer/sabotage --bin millrace-infer
	cp target/debug/millrace-infer target/debug/millrace-infer-sabotaged
	cargo build --workspace $(FEATURES) --all-targets
	rm -f $(FAULTS_REPORT)
	failed=0; \
	cargo test --workspace $(FEATURES) --test faults -- --nocapture $(ARGS) || failed=1; \
	scripts/faults-report $(FAULTS_REPORT) >reports/faults.md || failed=1; \
	SINK_KILLS=20 scripts/with-broker cargo test --workspace $(FEATURES) --test sink -- kill || failed=1; \
	exit $$failed

lint: setup ## Check formatting, and run clippy, ruff and mypy with warnings as errors
	.venv/bin/ruff format --quiet --check --no-cache clients/python
	.venv/bin/ruff check --quiet --no-cache clients/python
	cd clients/python && ../../.venv/bin/mypy --no-error-summary --cache-dir ../../target/mypy
	cargo fmt --all --check
	cargo clippy --workspace $(FEATURES) --all-targets -- -D warnings

audit: $(DENY) ## Check licences, sources, duplicates and known vulnerabilities of all dependencies
	$(DENY) check $(AUDIT_CHECKS)

$(DENY):
	@echo "audit: installing cargo-deny $(DENY_VERSION) (some minutes, once)" >&2
	cargo install --quiet --locked --root .native/cargo-deny --version $(DENY_VERSION) cargo-deny

bench: $(BIG_MODELS) ## Measure throughput and latency on a throw-away broker (ARGS=--short for two minutes)
	scripts/bench $(ARGS)

# Too large to be committed.
$(BIG_MODELS): load/models/%/1/model.onnx: load/models/make_%.py | setup
	.venv/bin/python $<

fuzz: ## Fuzz every decoder of outside bytes (FUZZ_SECONDS=60 each; needs cargo-fuzz and a nightly toolchain)
	fuzz/run $(FUZZ_SECONDS)

models: ## Make the committed models anew from their scripts
	@test -d $(MODELS_VENV) || python3 -m venv $(MODELS_VENV)
	@echo "models: installing the packages of models/requirements.txt" >&2
	$(MODELS_VENV)/bin/pip install --quiet --requirement models/requirements.txt
	for script in models/train_*.py models/make_*.py load/models/make_*.py; do $(MODELS_VENV)/bin/python "$$script"; done

# BigDL and the Spark classes that it names come from Maven Central (about 300 MB, once); nothing else here needs them.
goldens: export OUT ?= tests/convert/bigdl/golden
goldens: ## Let BigDL answer the golden networks of its converter anew (needs Java 11 or later and Maven)
	tests/convert/bigdl/make $(OUT) $(or $(SIZE),small)

wheel: setup ## Build the Python client's wheel into target/wheels
	.venv/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir target/wheels clients/python

clean: ## Remove everything that was built or fetched
	cargo clean
	rm -rf .native .venv
