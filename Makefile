# `make demo` and `make test` do all their own set-up; see CONTRIBUTING.md for the rest.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.DEFAULT_GOAL := help

$(VENV)/.ready: pyproject.toml constraints.txt .ci/debian
	PYTHON=$(PYTHON) .ci/debian
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

.PHONY: setup
setup: $(VENV)/.ready ## virtual environment and Debian packages

.PHONY: demo
demo: setup ## two registries, Envoy and the processor: the whole story, step by step
	$(BIN)/geo-extproc demo

.PHONY: test
test: setup ## all tests with the real programs
	$(BIN)/pytest

.PHONY: check
check: setup ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
