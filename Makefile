.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
UV := .uv/bin/uv
UV_VERSION := 0.13.9
BIN := $(VENV)/bin
WHATICKET := $(BIN)/whaticket
PACKAGES := streams schemas agents sinks
PATHS := $(PACKAGES) tests
PIPELINE := --rates 100,500,1000 --seconds 10 --customers 5000 --sustained 60

.PHONY: help setup fmt check test demo up down load chaos bench docs

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-7s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Install everything into .venv (Python >= 3.11 is all it needs)

# Compiled once, here: where Python may write no bytecode later, every process would do it at every start.
$(VENV)/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=/path/to/it")'
	@test -x $(UV) || { $(PYTHON) -m venv .uv && .uv/bin/pip install -q "uv==$(UV_VERSION)"; }
	UV_PROJECT_ENVIRONMENT=$(VENV) $(UV) sync -q --frozen --inexact --compile-bytecode --python $(PYTHON) --all-groups --extra embedded
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

fmt: setup ## Format the code
	$(BIN)/ruff check -q --fix $(PATHS) || true
	$(BIN)/ruff format $(PATHS)

check: setup ## Format, lint, types, import laws, generated docs up to date
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/ruff check $(PATHS)
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/lint-imports
	$(WHATICKET) docs --check

test: setup ## Run all tests, unit and integration, on the embedded parts (about 25 minutes)
	$(BIN)/python -m pytest

demo: setup ## Show three customers served at once, on real Kafka
	$(WHATICKET) demo

up: setup ## Start the embedded stack and stay in the foreground
	$(WHATICKET) up

down: setup ## Stop the embedded stack
	$(WHATICKET) down

load: setup ## Send 2,000 signed messages through the webhook and check every outcome
	$(WHATICKET) load --conversations 200 --messages 2000

chaos: setup ## Every fault and mixture with three seeds (about two hours), every promise checked
	$(WHATICKET) chaos --all --table docs/delivery-runs.md

docs: setup ## Render the generated docs and schemas
	$(WHATICKET) docs

bench: setup ## Measure one hop, then the whole pipeline, beside yardsticks (about half an hour)
	$(WHATICKET) bench hop
	$(WHATICKET) bench pipeline $(PIPELINE) --layout all-in-one
	$(WHATICKET) bench pipeline $(PIPELINE) --layout split
