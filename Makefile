# Every target makes or refreshes what it needs: `make test` in a fresh clone installs first, then tests.
PYTHON ?= python3
# Where torch comes from beyond the configured index, e.g. TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH := torch>=2.6,<2.14
OLDEST := torch==2.6.*
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
BASE_READY := $(VENV)/.ready-base
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.ready-docs
BENCH_READY := $(VENV)/.ready-bench
OLDEST_VENV := .venv-oldest
OLDEST_READY := $(OLDEST_VENV)/.ready

# Python compiles a module when it is first imported; compiling all of them here would take longer than installing.
PIP_FLAGS := --quiet --disable-pip-version-check --no-compile
TORCH_FLAGS := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-oldest lint bench docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch goes first and alone, so that a CPU build at hand is taken and the later, larger resolution keeps it.
$(BASE_READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) $(TORCH_FLAGS) "$(TORCH)"
	$(BIN)/python -m pip install $(PIP_FLAGS) -e .
	touch $@

$(READY): $(BASE_READY)
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[dev]"
	touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[docs]"
	touch $@

# torchvision's own requirement would bring another build of torch, hence --no-deps.
$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install $(PIP_FLAGS) --no-deps "torchvision==0.28.0" "timm==1.0.31" "torch-pruning==1.6.1"
	$(BIN)/python -m pip install $(PIP_FLAGS) "transformers==5.23.0" pyyaml pillow tqdm huggingface_hub
	$(BIN)/python -m pip install $(PIP_FLAGS) --no-deps "pymfe==0.4.4" patsy statsmodels texttable igraph gower
	touch $@

$(OLDEST_READY): pyproject.toml
	test -x $(OLDEST_VENV)/bin/python || $(PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST_VENV)/bin/python -m pip install $(PIP_FLAGS) $(TORCH_FLAGS) "$(OLDEST)"
	$(OLDEST_VENV)/bin/python -m pip install $(PIP_FLAGS) -e ".[dev]"
	touch $@

setup: $(READY)  ## make .venv and install netloom in it, ready for work

demo: $(BASE_READY)  ## the tour on real handwritten digits: what each part of netloom buys; about four minutes
	$(BIN)/python examples/demo.py

test: $(READY)  ## the tests of every commit
	@sh tests/store/install_postgres.sh
	$(BIN)/python -m pytest -q -n $(WORKERS)

test-slow: $(READY) test-oldest  ## the long tests on more examples, then the quick ones on the oldest torch that is supported
	@sh tests/store/install_postgres.sh
	NETLOOM_SLOW=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m "slow or not slow"

test-oldest: $(OLDEST_READY)
	$(OLDEST_VENV)/bin/python -m pytest -q -n $(WORKERS)

lint: $(READY)  ## ruff, mypy, and the order of the rooms
	$(BIN)/ruff check --no-cache src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(BENCH_READY)  ## measure: results in benchmarks/results/, the gallery's table in docs/gallery.md
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python -m benchmarks.hashing
	$(BIN)/python benchmarks/gallery.py
	$(BIN)/python -m benchmarks.trace
	$(BIN)/python -m benchmarks.build

docs: $(DOCS_READY)  ## the documentation as a site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove everything that make made
	rm -rf $(VENV) $(OLDEST_VENV) site build dist demo-report .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
