# `make serve` and `make test` are all the set-up there is. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
# The Python client of examples/ wants other versions than the server.
CLIENT := examples/python/.venv
BIN := $(VENV)/bin
# One installer everywhere: the machine's uv, else a uv that pip brings into the environment.
UV = $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
INSTALL = VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-progress --compile-bytecode
PYTEST = $(BIN)/python -m pytest

.PHONY: help serve test check format soak bench browser conformance web examples lock schema

help: ## List the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

serve: $(VENV)/.serve ## Start the database and the server on http://127.0.0.1:8000 (HOST, PORT).
	@exec $(BIN)/steward serve

test: check ## Run every check and every test.
	$(PYTEST) -n auto

check: $(VENV)/.dev ## Formatting, lint, types, layers, the schema file.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/steward export-schema --check schema.graphql

format: $(VENV)/.dev ## Format and mend what ruff can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: $(VENV)/.dev ## The full sizes: kills, sockets, big firms.
	$(PYTEST) -m soak -n 0 -v

bench: $(VENV)/.dev ## The server beside a bare floor and beside others, in one run; with Node, beside more of them.
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.events
	$(BIN)/python -m tests.benchmarks.conversations
	$(BIN)/python -m tests.benchmarks.policies

browser: $(VENV)/.dev web ## GraphiQL in headless Chromium; skips with a reason where there is none.
	$(PYTEST) -m browser -n 0 -rP

conformance: $(VENV)/.dev ## The public suites and clients (graphql-http, graphql-ws, graphql-sse, graphql-eslint); needs npm.
	npm ci --prefix tests/clients --no-audit --no-fund --loglevel=error
	$(PYTEST) -m conformance -n 0 tests/clients

web: ## Bundle GraphiQL from its npm packages into web/dist.
	npm ci --prefix web --no-audit --no-fund --loglevel=error
	npm run build --prefix web --silent

examples: $(VENV)/.serve $(CLIENT)/.ready ## Build the typed clients of examples/ and run them against a server of their own.
	$(BIN)/python examples/run.py

schema: $(VENV)/.dev ## Write schema.graphql from the code.
	$(BIN)/steward export-schema schema.graphql

lock: $(VENV)/bin/python ## Lock versions and hashes, without addresses.
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml --group build --output-file requirements.lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  examples/python/requirements.in --output-file examples/python/requirements.lock

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.serve: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.serve
	$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

$(CLIENT)/.ready: examples/python/requirements.lock | $(VENV)/bin/python
	$(PYTHON) -m venv $(CLIENT)
	VIRTUAL_ENV=$(CLIENT) $(UV) pip install --quiet --no-progress --require-hashes --requirement $<
	@touch $@
