# Everything a newcomer needs: `make demo`, `make test`. The environment is made when it is missing or out of date.

VENV   ?= .venv
EXTRAS ?= dev
# The tested version first; any Python from 3.11 on will do.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	path=$$(command -v $$name 2>/dev/null) || continue; \
	"$$path" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$path" && break; done)
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# DeepSpeed compiles with the ninja of the environment.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help setup demo test test-all lint format clean

help:
	@echo "make demo [KEEP=1]   train on two workers, deploy, ask the endpoint; KEEP=1 leaves it up"
	@echo "make test            all tests but the slow ones     make test-all   all tests"
	@echo "make lint            ruff and mypy                   make format     let ruff rewrite"
	@echo "make setup           only the environment ($(VENV))    make clean      remove what these commands made"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. Install one, or give PYTHON=/path/to/python." >&2; exit 2; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

demo: $(STAMP)
	$(BIN)/python jobs/demo.py $(if $(KEEP),--keep)

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow and not gpu" $(PYTEST_ARGS)

test-all: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs mlruns mlartifacts dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find platform jobs serve_apps tests -name __pycache__ -type d -prune -exec rm -rf {} +
