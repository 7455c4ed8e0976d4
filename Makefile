# Everything that a person or CI does here, by name. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: help demo test test-hostile test-fast check lint types imports locks blocks clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/ready: requirements-dev.lock
	@echo "Making the environment in $(VENV) (about a minute, once) …"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11 to 3.13 is needed; say which with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/ready ## The whole job on a local stack; REPO=<path or URL> takes your repository, MODEL=real a real model
	@$(BIN)/python -m deployments.local.demo $(if $(REPO),--repo '$(REPO)') $(if $(MODEL),--model '$(MODEL)') $(if $(KEEP),--keep)

test: $(VENV)/ready ## The whole test suite
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

test-hostile: $(VENV)/ready ## Hostile repositories and agents against the wall between two users; needs root on Linux
	@$(BIN)/python -m pytest tests/hostile -n $(WORKERS)

check: lint types imports ## Lint, types and import rules

lint: $(VENV)/ready ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/ready ## mypy --strict
	@$(BIN)/mypy

imports: $(VENV)/ready ## import-linter
	@$(BIN)/lint-imports

blocks: $(VENV)/ready ## Register the block types on the Prefect API that is configured
	@$(BIN)/prefect block register --module blocks

locks: $(VENV)/ready ## Resolve the requirements anew
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove what was made here
	@rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
