# Needs bash, git and Python 3.11 to 3.13; `make` alone lists what there is to make.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
READY := .venv/.ready
# Which jupyter-server (of nbdime) asks for, and jsonschema imports wherever it is: it makes a grammar each time, 0.9 s for
# every process and kernel that imports nbformat, papermill or scrapbook. Without it, jsonschema leaves that format out.
SLOW := --no-emit-package rfc3987-syntax --no-emit-package lark
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header $(SLOW)

export PYTHON
.PHONY: help demo up down test lint check bench torture lock lowest clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml scripts/set_up.sh
	@scripts/set_up.sh

demo: $(READY) ## run the flight-delay pipeline in a Prefect flow
	@$(PY) flows/demo.py

up: $(READY) ## start Prefect's server with its UI, the deployments of prefect.yaml and a worker, in the background
	@$(PY) flows/up.py up

down: $(READY) ## stop what `make up` started
	@$(PY) flows/up.py down

test: $(READY) ## run all tests but the torture, with branch coverage (floor: 90)
	@scripts/system_packages.sh
	@$(PY) -m pytest -n 2 --dist loadgroup --cov --cov-report=term

lint: $(READY) ## ruff, mypy (strict), import-linter
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo

check: lint test ## lint and test: what CI runs

bench: $(READY) ## measure against papermill, write benchmarks/results.md
	@$(PY) -m benchmarks.run
	@$(PY) -m benchmarks.many
	@$(PY) -m benchmarks.ledger
	@$(PY) -m benchmarks.verify

torture: $(READY) ## the long tests; their figures go to benchmarks/torture-results.md
	@TORTURE_RESULTS=benchmarks/torture-results.md $(PY) -m pytest -m "torture or counted" --timeout 3600

lock: $(READY) ## renew requirements.lock and environment.yml from pyproject.toml (UPGRADE=--upgrade: to the newest)
	@$(COMPILE) $(UPGRADE) pyproject.toml --output-file requirements.lock
	@$(PY) scripts/environment_yml.py

lowest: $(READY) ## try the fast tests with the lowest versions that pyproject.toml allows
	@scripts/lowest.sh

clean: ## remove the set-up and the tools' caches; notebooks' records under .nbprod/ stay
	@rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov dist
