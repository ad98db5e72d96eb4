# Two commands do everything: `make demo` and `make test`. Settings, e.g. `make demo PYTHON=python3.12`:
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
# Folder for the compiled torch-scatter wheel; it may be deleted at any time.
GRAPHREC_CACHE ?= $(HOME)/.cache/graphrec

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
TEST_EXTRAS := test,faiss,als,bm25,tensorboard

.PHONY: help demo test lint format scatter clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo     set up $(VENV), then the demo: a table and a picture in under a minute'
	@echo 'make test     the same set-up plus test extras, then the whole test suite'
	@echo 'make lint     ruff and mypy'
	@echo 'make format   let ruff rewrite the code'
	@echo 'make scatter  compile torch-scatter (optional, some minutes)'
	@echo 'make clean    remove $(VENV) and everything built'

demo: $(VENV)/.installed
	$(BIN)/graphrec demo

# A torch-scatter that does not compile is reported and left out.
test: $(VENV)/.installed-test $(VENV)/.tried-scatter
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.installed: setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[$(TEST_EXTRAS)]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.tried-scatter: $(VENV)/.installed
	@$(MAKE) --no-print-directory scatter || \
	    echo 'torch-scatter did not build; going on without it (graphrec works the same).'
	@touch $@

# torch-scatter ships no wheels and needs torch while it builds. The compiled wheel is kept
# outside the checkout, in one folder per torch and Python (pip's own cache knows no torch).
scatter: $(VENV)/.installed
	@$(BIN)/python -c 'import torch_scatter' 2> /dev/null && exit 0; \
	$(PIP) setuptools wheel || exit 1; \
	wheels="$(GRAPHREC_CACHE)/wheels/$$($(BIN)/python -c 'import sys, torch; print(f"torch-{torch.__version__}-py{sys.version_info[0]}.{sys.version_info[1]}")')"; \
	if ! ls "$$wheels"/torch_scatter-*.whl > /dev/null 2>&1; then \
	    echo 'Compiling torch-scatter, some minutes ...'; \
	    fresh=$$(mktemp -d); \
	    $(BIN)/python -m pip wheel --quiet --no-cache-dir --constraint constraints.txt --no-build-isolation \
	        --no-deps --wheel-dir "$$fresh" torch-scatter || { rm -rf "$$fresh"; exit 1; }; \
	    { mkdir -p "$$wheels" && cp "$$fresh"/torch_scatter-*.whl "$$wheels"/; } 2> /dev/null \
	        || { echo 'The wheel cache cannot be written; installing without it.'; wheels=$$fresh; }; \
	fi; \
	$(BIN)/python -m pip install --quiet --no-deps "$$wheels"/torch_scatter-*.whl

clean:
	rm -rf $(VENV) build dist *.egg-info graphrec-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
