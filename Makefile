# make setup   a virtual environment in .venv with everything the tests need
# make demo    solve a real instance
# make test    the tests
# make lint    ruff and mypy
# make docs    the site, its examples run (minutes): docs/_build/html
# make bench   the benchmarks, against their peers (minutes)
#
# Another interpreter: make PYTHON=python3.12 setup

VENV := .venv
BIN := $(VENV)/bin
SOLVE ?= instances/diabetes-40.yaml
# Processes that share the tests. One thread each: idle BLAS threads only steal time from each other.
WORKERS ?= 2
BENCHMARKS ?= solve_targets coverage methods oracle_vs_scip memory certificates cp_rank one_dimension training deep deep_bound forces

# The first of these that is a Python cpcert runs on.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: setup demo test lint format docs bench clean

setup: $(VENV)/installed-dev

# The stamp is younger than the files that say what to install, so nothing is installed twice. Most of torch is never imported:
# compiling all of it would take longer than the installation.
$(VENV)/installed-%: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "cpcert needs Python 3.11, 3.12 or 3.13, and found none; make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): a minute or two, once"
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

demo: setup
	$(BIN)/cpcert solve $(SOLVE)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy cpcert

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/installed-dev $(VENV)/installed-bench
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; OMP_NUM_THREADS=1 $(BIN)/python "benchmarks/$$name.py"; done

clean:
	rm -rf $(VENV) out docs/_build docs/gallery docs/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
