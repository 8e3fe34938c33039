# `make demo` and `make test` do all their own set-up; see CONTRIBUTING.md for the rest.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
TEST_WORKERS ?= 2
# Python without the ending, which the tools would not find by themselves.
SCRIPTS := docs/generate docs/generate-schema protos/generate

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

.PHONY: setup
setup: ## virtual environment and Debian packages
	@PYTHON=$(PYTHON) .ci/setup

.PHONY: demo
demo: setup ## two registries, Envoy and the processor: the whole story, step by step
	$(BIN)/geo-extproc demo

.PHONY: test
test: setup ## all tests with the real programs, files side by side (TEST_WORKERS, 2)
	$(BIN)/pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: check
check: setup ## lint, format, types, import rules
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/mypy --scripts-are-modules docs/generate
	$(BIN)/mypy --scripts-are-modules docs/generate-schema
	$(BIN)/mypy --scripts-are-modules protos/generate
	$(BIN)/lint-imports

.PHONY: test-load
test-load: setup ## the promises at full length: 1,000 rounds, store failovers, 2 GiB, 100,000 events
	GEO_TEST_ROUNDS=1000 GEO_TEST_FAULT_REQUESTS=5000 GEO_TEST_BLOB_BYTES=2147483648 GEO_TEST_EVENTS=100000 \
		GEO_TEST_RECONCILE_NAMES=200 GEO_TEST_RECONCILE_TAGS=50 \
		$(BIN)/pytest -v tests/e2e tests/notification/test_many_events.py

.PHONY: test-faults
test-faults: setup ## every fault of docs/faults.md at full length: 5,000 requests each; build/faults.json
	GEO_TEST_FAULT_REQUESTS=5000 $(BIN)/pytest -v tests/faults tests/e2e/test_live.py

.PHONY: bench
bench: setup ## what an exchange, a pull and the store cost, beside yardsticks: build/bench.json, tables, charts
	.ci/bench

.PHONY: soak
soak: setup ## an hour (SOAK_SECONDS) at full load with trouble, on the fast lane: memory must stay flat; build/soak.json
	@command -v wrk >/dev/null || .ci/debian wrk
	.ci/compiled
	$(BIN)/python -m bench.soak

.PHONY: bench-store
bench-store: setup ## memory of 10 million digests in Redis, 1,000 a name: under 1.2 GB
	$(BIN)/python bench/store_memory.py

.PHONY: bench-telemetry
bench-telemetry: setup ## CPU that telemetry costs the processor for each exchange, with 1 % traced
	$(BIN)/python -m bench.telemetry_cost

.PHONY: capacity
capacity: setup ## a large site's day, simulated: what the gateway would do and need; tables, build/capacity.json, charts
	@[ -d $(VENV)/lib/python3*/site-packages/matplotlib ] || PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m bench.capacity

.PHONY: test-deep
test-deep: setup ## the model check at full length: 2,000 stories of 50 steps
	GEO_TEST_MODEL_EXAMPLES=2000 GEO_TEST_MODEL_REDIS_EXAMPLES=200 $(BIN)/pytest -v tests/model

.PHONY: fuzz
fuzz: setup ## each fuzz target for FUZZ_SECONDS (600), two at once: what a stranger can send
	$(BIN)/python -m tests.fuzz

.PHONY: audit
audit: setup ## known vulnerabilities in the pinned packages, none of them skipped; needs the internet, so not part of CI
	@[ -x $(BIN)/pip-audit ] || PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[audit]'
	@# Without --strict it passes over what it could not look up, and says that it found nothing.
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement constraints.txt || { echo "audit: NOT passed: what is named above is vulnerable, or could not be looked up (is the internet reachable from here?)" >&2; exit 1; }

.PHONY: plant-faults
plant-faults: setup ## plant known faults one at a time: the model check must find each
	$(BIN)/python -m tests.model.plant

.PHONY: test-threats
test-threats: setup ## the threat suite with every mutation of every path, some 20,000
	GEO_TEST_PATH_STRIDE=1 $(BIN)/pytest -v --timeout=3600 tests/threats

.PHONY: test-mutation
test-mutation: setup ## change tokens, parser and decision in small ways on a copy: shows what no test notices
	.ci/mutation

.PHONY: test-alerts
test-alerts: setup ## each alert of envoy/alerts.yaml in the fault that it is for, with a real Prometheus
	$(BIN)/pytest -v tests/deep/alerts

.PHONY: compiled
compiled: setup ## the package with its hot path compiled by mypyc: build/compiled/, and a wheel in build/wheel/; some minutes
	@.ci/compiled

.PHONY: test-compiled
test-compiled: compiled ## the tests of what is compiled, and the whole story, with build/compiled/ instead of the sources
	@# What tests start in this folder finds `extproc` there, and not here (PYTHONSAFEPATH).
	PYTHONPATH=$(CURDIR)/build/compiled:$(CURDIR) PYTHONSAFEPATH=1 GEO_TEST_COMPILED=1 \
		$(BIN)/pytest -o pythonpath="build/compiled ." --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder \
		tests/test_form.py tests/oci tests/auth tests/routing tests/processor tests/transport tests/telemetry \
		tests/evidence tests/model tests/e2e/test_story.py

.PHONY: test-page
test-page: setup ## the status page in a real browser, in each state, with an audit by axe-core; pictures in build/page/
	.ci/page

.PHONY: test-image
test-image: setup ## build the Containerfile on a base made here, and run it with a read-only root (root, debootstrap)
	$(BIN)/pytest -v -s tests/deep/image

.PHONY: test-bare
test-bare: ## demo and tests in a bare Debian 12 chroot (root, debootstrap)
	.ci/bare

.PHONY: coverage
coverage: setup ## branch coverage of the decision core, parser and auth: must be complete
	$(BIN)/pytest tests/oci tests/auth tests/routing \
		--cov=extproc.oci --cov=extproc.auth --cov=extproc.routing --cov-branch --cov-report=term-missing --cov-fail-under=100

.PHONY: protos
protos: setup ## regenerate the wire messages from protos/
	$(BIN)/python protos/generate

.PHONY: docs
docs: setup ## regenerate docs/configuration.md from the settings
	$(BIN)/python docs/generate
	$(BIN)/python docs/generate-schema

.PHONY: envoy-config
envoy-config: setup ## regenerate Envoy's configurations in envoy/ from the settings beside them
	$(BIN)/geo-extproc envoy-config --config envoy/example.toml --write envoy/bootstrap.yaml
	$(BIN)/geo-extproc envoy-config --form istio-gateway --config envoy/istio/gateway.toml --write envoy/istio/gateway.yaml
	$(BIN)/geo-extproc envoy-config --form istio-sidecar --config envoy/istio/sidecar.toml --write envoy/istio/sidecar.yaml
	$(BIN)/geo-extproc envoy-config --form envoy-gateway --config envoy/gateway/registry.toml --write envoy/gateway/registry.yaml
