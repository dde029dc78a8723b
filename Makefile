# Everything a developer or CI does. `make test` is all that CI runs.
#
#   make demo      set up, then package and run the example flow
#   make test      set up, start the services, lint, check types, run every test in parallel
#   make bench     measure, side by side with what a user would pick instead
#
# SERVICE_TESTS=0 leaves out the tests that need a container engine. WORKERS=0 runs all in one
# process, WORKERS=4 in four; PYTEST_ARGS are pytest's: make test PYTEST_ARGS="-x tests/core".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVICES := $(if $(wildcard .services/env),. ./.services/env;)
SERVICE_TESTS ?= 1
WORKERS ?= logical

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types format table bench fuzz services services-down lock dist clean

help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile
	@echo "  also: setup lint types format table fuzz services services-down lock dist clean"

setup: $(VENV)/.complete

# uv comes first and by itself: it installs the rest in seconds, every file checked by hash.
$(VENV)/.complete: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes \
	  -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(SERVICES) PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh

# What waits and what computes share the time. A second make reads .services/env afterwards.
test: setup
	@$(MAKE) --no-print-directory -j3 -Oline lint types $(if $(filter-out 0,$(SERVICE_TESTS)),services)
	@$(MAKE) --no-print-directory check

check: setup
	$(SERVICES) $(BIN)/pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal \
	  $(if $(filter 0,$(SERVICE_TESTS)),-m "not services") $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What the command answers without click, after a change of its options or help.
table: setup
	$(BIN)/python scripts/command_table.py

bench: setup
	@$(SERVICES) for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python -P $$file; done

# Coverage-guided, over the sealed flow's header, JSON, sections and trailer.
SECONDS ?= 60
fuzz: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/fuzz.txt
	$(BIN)/python fuzz/sealed_flow.py -max_total_time=$(SECONDS)

services: setup
	$(BIN)/python scripts/services.py up

services-down:
	$(PYTHON) scripts/services.py down

lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate requirements/fuzz.in -o requirements/fuzz.txt
	grep -A 1000 '^uv==' requirements/dev.txt | sed -n '1p;2,$$ { /^[^ ]/q; p }' > requirements/uv.txt

dist: setup
	$(BIN)/uv build --quiet --out-dir dist --no-build-isolation

clean:
	rm -rf dist build out .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
