# `make` prints the targets. Every target that needs the set-up makes it first (tools/bootstrap).
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench docs clean

BIN := .venv/bin
# The copy of the project in this folder is what runs, whatever else is installed or configured around it.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
WORKERS ?= auto
# What `check` runs of the tests: those that start neither processes nor whole installations, but for the references.
FAST := $(filter-out tests/cli tests/sync tests/pooler tests/crash tests/properties tests/dispatch tests/tables tests/billing tests/exports tests/api,$(patsubst %/,%,$(wildcard tests/[a-z]*/))) \
        tests/api/test_reference.py tests/cli/test_reference.py $(wildcard tests/test_*.py)

help:  ## print the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	    printf 'make %-8s %s\n' "$$name" "$$text"; done

setup:  ## make .venv and fetch the bundled model
	@tools/bootstrap

demo: setup  ## sync a sandbox help desk and ask it three questions
	@$(BIN)/deskloom demo

test: setup  ## run all tests, PostgreSQL and the real index engine included
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

check: setup  ## format, lint, types, import contracts, lock file, generated docs, fast tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/uv lock --check --quiet
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup -m "not slow" $(FAST)

bench: setup  ## run the benchmarks (minutes): counts first, seconds second
	@for program in $$(grep -l '^if __name__' benchmarks/*.py); do \
	    echo "== $$program"; $(BIN)/python -m "benchmarks.$$(basename "$$program" .py)" || exit 1; done

docs: setup  ## write docs/reference anew from the program
	$(BIN)/python tools/reference.py

clean:  ## remove what the targets made here (not the model files, not your data)
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis deskloom-demo bench-out
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
