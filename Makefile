# Everything that a person or CI does here, by name. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# AGAIN=1 runs what failed last, and nothing else.
AGAIN ?=
override AGAIN := $(if $(AGAIN),--last-failed --last-failed-no-failures none)

# The image: what builds it, what runs it in its test, and what either has to be told on this host.
IMAGE ?= claude-code-headless
found = $(firstword $(foreach tool,$(1),$(shell $(tool) info >/dev/null 2>&1 && echo $(tool))))
BUILDER ?= $(call found,docker podman buildah)
BUILD_FLAGS ?=
RUNNER ?= $(call found,docker podman)
RUN_FLAGS ?=
PIP_CONFIG ?= $(firstword $(wildcard $(PIP_CONFIG_FILE) $(HOME)/.config/pip/pip.conf $(HOME)/.pip/pip.conf /etc/pip.conf))
comma := ,

.PHONY: help demo test test-one coverage test-hostile test-durability test-image test-ecs test-postgres test-ui \
  screenshots format check lint types imports bench bench-checkpoints bench-redaction locks parameters-page blocks image clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/ready: requirements-dev.lock
	@echo "Making the environment in $(VENV) (about a minute, once) …"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11 to 3.13 is needed; say which with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@# The list is whole: without --no-deps pip looks beside it for what a package asks for with an extra.
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/ready ## The whole job on a local stack; REPO=<path or URL> takes your repository, MODEL=real a real model
	@$(BIN)/python -m deployments.local.demo $(if $(REPO),--repo '$(REPO)') $(if $(MODEL),--model '$(MODEL)') $(if $(KEEP),--keep) $(if $(JSON),--json)

# Its tests wait for processes a third of the time.
test coverage: WORKERS = 3
test: $(VENV)/ready ## The whole test suite
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(AGAIN)

test-one: $(VENV)/ready ## One test file or test: T=tests/flows/test_deliver.py, or T='path -k words'
	@$(if $(T),$(BIN)/python -m pytest -m '' $(T),echo 'say which: make test-one T=tests/flows/test_deliver.py'; exit 1)

coverage: $(VENV)/ready ## The whole test suite, with the branch coverage of flows/
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov=flows --cov-branch --cov-report=term:skip-covered

image: ## Build the image with docker, podman or buildah; BUILD_FLAGS=… is passed on
	@test -n "$(BUILDER)" \
	  || { echo "docker (running), podman or buildah is needed to build the image: apt install podman"; exit 1; }
	@$(BUILDER) build $(if $(filter buildah,$(BUILDER)),--layers) $(BUILD_FLAGS) \
	  $(if $(PIP_CONFIG),--secret id=pip_config$(comma)src=$(PIP_CONFIG)) \
	  --label org.opencontainers.image.version="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  --label org.opencontainers.image.revision="$$(git describe --always --abbrev=40 --dirty --exclude '*')" \
	  --tag $(IMAGE) .

test-image: $(VENV)/ready ## Build the image, and run the whole job in it with docker or podman; RUN_FLAGS=… is passed on
	@test -n "$(RUNNER)" \
	  || { echo "docker (running) or podman is needed to run the image: apt install podman"; exit 1; }
	@command -v zstd >/dev/null || { echo "zstd is needed to measure the image: apt install zstd"; exit 1; }
	@$(MAKE) --no-print-directory image
	@IMAGE='$(IMAGE)' RUNNER='$(RUNNER)' RUN_FLAGS='$(RUN_FLAGS)' PIP_CONFIG='$(PIP_CONFIG)' \
	  $(BIN)/python -m pytest -m image tests/image $(AGAIN)

test-durability: $(VENV)/ready ## Machines lost in the middle of a run, and others that go on with it
	@$(BIN)/python -m pytest tests/durability -n $(WORKERS) $(AGAIN)

test-hostile: $(VENV)/ready ## Hostile repositories and agents against the wall between two users; needs root on Linux
	@$(BIN)/python -m pytest tests/hostile -n $(WORKERS) $(AGAIN)

test-ecs: $(VENV)/ready ## Build the image, and run in it what a real ECS worker submits to moto; RUN_FLAGS=… is passed on
	@test -n "$(RUNNER)" \
	  || { echo "docker (running) or podman is needed to run the image: apt install podman"; exit 1; }
	@$(MAKE) --no-print-directory image
	@IMAGE='$(IMAGE)' RUNNER='$(RUNNER)' RUN_FLAGS='$(RUN_FLAGS)' $(BIN)/python -m pytest -m image tests/ecs $(AGAIN)

test-ui: $(VENV)/ready ## Prefect's pages in a real browser: form, run, report, transcript; needs chromium
	@$(BIN)/python -m pytest tests/ui $(AGAIN)

screenshots: $(VENV)/ready ## The same, and its pictures into docs/images
	@SCREENSHOTS="$$(mktemp -d)" && export SCREENSHOTS && $(BIN)/python -m pytest tests/ui \
	  && mv "$$SCREENSHOTS"/form.png "$$SCREENSHOTS"/report.png docs/images && echo "the others are in $$SCREENSHOTS"

test-postgres: $(VENV)/ready ## A Prefect server with PostgreSQL and authentication, and a run through it
	@$(BIN)/python -m pytest -m postgres tests/postgres $(AGAIN)

format: $(VENV)/ready ## Format the code, and apply ruff's safe fixes
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .

check: lint types imports ## Lint, types and import rules

lint: $(VENV)/ready ## ruff, and cfn-lint on the templates
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/cfn-lint --include-checks I -- deployments/cloudformation/*.yaml

types: $(VENV)/ready ## mypy --strict
	@$(BIN)/mypy

imports: $(VENV)/ready ## import-linter
	@$(BIN)/lint-imports

bench: $(VENV)/ready ## Measure us beside the plain pipeline; ROWS="1 3" some rows of docs/benchmarks.md, PAIRS=5
	@$(BIN)/python -m tests.bench $(if $(ROWS),--rows $(ROWS)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(WRITE),--write)

bench-checkpoints: $(VENV)/ready ## What checkpoints cost a run on a repository of 1 GB
	@$(BIN)/python -m tests.bench.checkpoints

parameters-page: $(VENV)/ready ## Write the tables of docs/parameters.md from the flows' parameters
	@$(BIN)/python -m flows.parameters.page docs/parameters.md

bench-redaction: $(VENV)/ready ## How fast text is redacted with 1, 10, 200 and 1,000 secrets
	@$(BIN)/python -m tests.bench.redaction

blocks: $(VENV)/ready ## Register the block types on the Prefect API that is configured
	@$(BIN)/python -m prefect block register --module blocks

locks: $(VENV)/ready ## Resolve the requirements anew
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove what was made here
	@rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
