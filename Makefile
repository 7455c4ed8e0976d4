# The commands for people and CI. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# Each process of a run would compile the code again.
unexport PYTHONDONTWRITEBYTECODE
# AGAIN=1 runs only the tests of the target that failed last time.
AGAIN ?=
override AGAIN := $(if $(AGAIN),--last-failed --last-failed-no-failures none)
# Each target remembers its own failures, because CI runs targets beside each other.
# THOROUGH=1 adds whole runs with further inputs of the same kinds.
THOROUGH ?=
override THOROUGH := $(if $(THOROUGH),-m 'not image and not postgres')
PYTEST = $(BIN)/python -m pytest -o cache_dir=.pytest_cache/$@ $(AGAIN) $(THOROUGH)

# The image: the tool that builds it, the tool that runs it in its test, and the options that both need on this host.
IMAGE ?= claude-code-headless
# `full` has tools for the agent's work, such as compilers; `slim` has none.
IMAGE_TARGET ?= full
found = $(firstword $(foreach tool,$(1),$(shell $(tool) info >/dev/null 2>&1 && echo $(tool))))
BUILDER ?= $(call found,docker podman buildah)
BUILD_FLAGS ?=
RUNNER ?= $(call found,docker podman)
RUN_FLAGS ?=
PIP_CONFIG ?= $(firstword $(wildcard $(PIP_CONFIG_FILE) $(HOME)/.config/pip/pip.conf $(HOME)/.pip/pip.conf /etc/pip.conf))
comma := ,

.PHONY: help demo test test-one test-runs test-demo test-aws coverage test-hostile test-durability test-image test-ecs test-projects test-postgres test-ui \
  screenshots format check lint types imports bench bench-checkpoints bench-redaction locks parameters-page blocks image clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/ready: requirements-dev.lock
	@echo "Making the environment in $(VENV) (about a minute, once) …"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11 to 3.13 is needed; say which with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@# The list is complete. Without --no-deps, pip would look for further packages that an extra of a package requires.
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/ready ## Run the whole job on a local stack; REPO=<path or URL> uses your repository, MODEL=real a real model
	@$(BIN)/python -m deployments.local.demo $(if $(REPO),--repo '$(REPO)') $(if $(MODEL),--model '$(MODEL)') $(if $(KEEP),--keep) $(if $(JSON),--json)

# Three workers, because these tests wait for processes a third of the time.
test test-runs coverage test-durability test-hostile: WORKERS = 3
test: $(VENV)/ready ## Run the test suite, without what has a target of its own
	@$(PYTEST) -n $(WORKERS) --dist loadgroup

test-runs: $(VENV)/ready ## Test more whole runs: unusual input from people, models, providers and git hosts; reports; secrecy
	@$(PYTEST) tests/runs -n $(WORKERS) --dist loadgroup

test-demo: $(VENV)/ready ## Test the demo
	@$(PYTEST) tests/demo

test-aws: $(VENV)/ready ## Test the set-up commands against a stand-in of AWS
	@$(PYTEST) tests/deployments/aws -n $(WORKERS) --dist loadfile

test-one: $(VENV)/ready ## One test file or test: T=tests/flows/test_deliver.py, or T='path -k words'
	@$(if $(T),$(BIN)/python -m pytest -m '' $(T),echo 'say which: make test-one T=tests/flows/test_deliver.py'; exit 1)

coverage: $(VENV)/ready ## Run test, test-runs and test-aws together, and measure the branch coverage of flows/
	@$(BIN)/python -m pytest -o 'norecursedirs=hostile durability ui demo .*' -n $(WORKERS) --dist loadgroup --cov=flows --cov-branch --cov-report=term:skip-covered

image: ## Build the image with docker, podman or buildah; IMAGE_TARGET=slim has no tools; BUILD_FLAGS=… adds options
	@test -n "$(BUILDER)" \
	  || { echo "docker (running), podman or buildah is needed to build the image: apt install podman"; exit 1; }
	@$(BUILDER) build $(if $(filter buildah,$(BUILDER)),--layers) $(BUILD_FLAGS) \
	  $(if $(PIP_CONFIG),--secret id=pip_config$(comma)src=$(PIP_CONFIG)) \
	  --label org.opencontainers.image.version="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  --label org.opencontainers.image.revision="$$(git describe --always --abbrev=40 --dirty --exclude '*')" \
	  --target $(IMAGE_TARGET) --tag $(IMAGE) .

test-image: $(VENV)/ready ## Build both images, and run the whole job with docker or podman; RUN_FLAGS=… adds options
	@test -n "$(RUNNER)" \
	  || { echo "docker (running) or podman is needed to run the image: apt install podman"; exit 1; }
	@command -v zstd >/dev/null || { echo "zstd is needed to measure the image: apt install zstd"; exit 1; }
	@$(MAKE) --no-print-directory image
	@$(MAKE) --no-print-directory image IMAGE_TARGET=slim IMAGE='$(IMAGE)-slim'
	@IMAGE='$(IMAGE)' SLIM_IMAGE='$(IMAGE)-slim' RUNNER='$(RUNNER)' RUN_FLAGS='$(RUN_FLAGS)' PIP_CONFIG='$(PIP_CONFIG)' \
	  $(PYTEST) -m image tests/image

test-durability: $(VENV)/ready ## Test that a run survives the loss of its machine; KILLS=30 adds kills at random times
	@$(if $(KILLS),RANDOM_KILLS='$(KILLS)') $(PYTEST) tests/durability -n $(WORKERS)

test-hostile: $(VENV)/ready ## Test the isolation of the agent against hostile repositories and agents; needs root on Linux
	@$(PYTEST) tests/hostile -n $(WORKERS)

test-ecs: $(VENV)/ready ## Build the image, and run in it the task that a real ECS worker submits to moto; RUN_FLAGS=… adds options
	@test -n "$(RUNNER)" \
	  || { echo "docker (running) or podman is needed to run the image: apt install podman"; exit 1; }
	@$(MAKE) --no-print-directory image
	@IMAGE='$(IMAGE)' RUNNER='$(RUNNER)' RUN_FLAGS='$(RUN_FLAGS)' $(PYTEST) -m image tests/ecs

test-projects: $(VENV)/ready ## Build the image, and set up and verify three real projects in it; needs the package registries, npm and apt
	@test -n "$(RUNNER)" \
	  || { echo "docker (running) or podman is needed to run the image: apt install podman"; exit 1; }
	@$(MAKE) --no-print-directory image
	@IMAGE='$(IMAGE)' RUNNER='$(RUNNER)' RUN_FLAGS='$(RUN_FLAGS)' $(PYTEST) -m image tests/projects -rP

test-ui: $(VENV)/ready ## Test Prefect's pages (form, run, report, transcript) in a real browser; needs chromium
	@$(PYTEST) tests/ui

screenshots: $(VENV)/ready ## Run test-ui, and copy its screenshots to docs/images
	@SCREENSHOTS="$$(mktemp -d)" && export SCREENSHOTS && $(BIN)/python -m pytest tests/ui \
	  && mv "$$SCREENSHOTS"/form.png "$$SCREENSHOTS"/report.png "$$SCREENSHOTS"/pull-request.png docs/images && echo "the others are in $$SCREENSHOTS"

test-postgres: $(VENV)/ready ## Test a run through a Prefect server with PostgreSQL and authentication
	@$(PYTEST) -m postgres tests/postgres

format: $(VENV)/ready ## Format the code, and apply ruff's safe fixes
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .

check: lint types imports ## Check style, types and import rules

lint: $(VENV)/ready ## Check style with ruff, and the templates with cfn-lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/cfn-lint --include-checks I -- deployments/cloudformation/*.yaml

types: $(VENV)/ready ## Check types with mypy --strict
	@$(BIN)/mypy

imports: $(VENV)/ready ## Check the import rules with import-linter
	@$(BIN)/lint-imports

bench: $(VENV)/ready ## Compare with the plain pipeline; ROWS="1 3" selects rows of docs/benchmarks.md, PAIRS=5 sets the number of pairs
	@$(BIN)/python -m tests.bench $(if $(ROWS),--rows $(ROWS)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(WRITE),--write)

bench-checkpoints: $(VENV)/ready ## Measure the cost of checkpoints in a run on a repository of 1 GB
	@$(BIN)/python -m tests.bench.checkpoints

parameters-page: $(VENV)/ready ## Generate the tables of docs/parameters.md from the flows' parameters
	@$(BIN)/python -m flows.parameters.page docs/parameters.md

bench-redaction: $(VENV)/ready ## Measure how fast text is redacted with 1, 10, 200 and 1,000 secrets
	@$(BIN)/python -m tests.bench.redaction

blocks: $(VENV)/ready ## Register the block types on the configured Prefect API
	@test -n "$$PREFECT_API_URL" || $(BIN)/python -m prefect config view 2>/dev/null | grep -q "^PREFECT_API_URL=" \
	  || { echo "set PREFECT_API_URL: without it the types would be registered on a temporary server"; exit 1; }
	@$(BIN)/python -m prefect block register --module blocks

locks: $(VENV)/ready ## Resolve the requirements again, and write the lock files
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove the environment, caches and other generated files
	@rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
