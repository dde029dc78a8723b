# Everything a developer or CI does. `make test` is all that CI runs.
#
# SERVICE_TESTS=0 leaves out the tests that need a container engine. WORKERS=0 runs all in one
# process, WORKERS=4 in four; PYTEST_ARGS are pytest's: make test PYTEST_ARGS="-x tests/core".
# NEWEST=0 leaves out `make newest`, which asks the package index for what is new, once a day.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVICES := $(if $(wildcard .services/env),. ./.services/env;)
SERVICE_TESTS ?= 1
WORKERS ?= logical
NEWEST ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check newest lint types format table bench fuzz services services-down lock hooks dist clean

help:  ## say this
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: $(VENV)/.complete  ## make .venv, with every file checked by hash

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

demo: setup  ## package and run the example flow, as a file and as an image
	@$(SERVICES) PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh

# What waits and what computes share the time. A second make reads .services/env afterwards.
test: setup  ## services, lint, types and every test: what CI runs
	@$(MAKE) --no-print-directory -j3 -Oline lint types $(if $(filter-out 0,$(SERVICE_TESTS)),services)
	@$(MAKE) --no-print-directory check $(if $(filter-out 0,$(NEWEST)),newest)

check: setup  ## every test alone, in parallel; with what `make services` started
	$(SERVICES) $(BIN)/pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal \
	  $(if $(filter 0,$(SERVICE_TESTS)),-m "not services") $(PYTEST_ARGS)

# The pins keep .venv as it is; users have what was released this morning, and other Pythons. Both
# are tried at once, to take a minute and not four: the newest Python runs what may depend on a
# version, the others what depends on a Python, and nothing of it is slow or needs the services.
newest: setup  ## unit tests with the newest dependencies allowed, on each Python at hand
	$(BIN)/python scripts/newest.py

lint: setup  ## formatting, rules, and which folder may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: setup  ## mypy, strict
	$(BIN)/mypy

format: setup  ## format, and mend what rules can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

table: setup  ## write what the command answers without click, after a change of its options
	$(BIN)/python scripts/command_table.py

bench: setup  ## measure, side by side with what a user would pick instead
	@$(SERVICES) for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python -P $$file; done

# Coverage-guided, over the sealed flow's header, JSON, sections and trailer.
SECONDS ?= 60
fuzz: setup  ## look for inputs that break the reader of sealed flows, for SECONDS=60
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/fuzz.txt
	$(BIN)/python fuzz/sealed_flow.py -max_total_time=$(SECONDS)

services: setup  ## start the container engine, registry and base image of the tests
	$(BIN)/python scripts/services.py up

services-down:  ## stop them and remove what they hold
	$(PYTHON) scripts/services.py down

lock: setup  ## pin what requirements/*.in and pyproject.toml ask for
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate requirements/fuzz.in -o requirements/fuzz.txt
	grep -A 1000 '^uv==' requirements/dev.txt | sed -n '1p;2,$$ { /^[^ ]/q; p }' > requirements/uv.txt

hooks: setup  ## have git run lint and types before each commit
	$(BIN)/pre-commit install

dist: setup  ## build wheel and sdist into dist/
	$(BIN)/uv build --quiet --out-dir dist --no-build-isolation

clean:  ## remove what the other targets leave, but for .venv and services
	rm -rf .venv-newest dist build out .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
