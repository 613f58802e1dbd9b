PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOWEST ?= .venv-lowest
LOWEST_PYTHON ?= python3.11
PYTHONS ?= python3.11 python3.12 python3.13
# What these versions were told not to do since.
OLD := -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning -W ignore::FutureWarning
ROOMS := tests/report tests/lab tests/cli tests/config tests/sweeps tests/diagnosis tests/choices/data \
	tests/test_records.py tests/test_library.py
# Small layers on busy cores are many times slower with torch's default thread count.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all integrations test-lowest release-check lint types mutate benchmark figures lab clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  variables: PYTHON=$(PYTHON) VENV=$(VENV) JOBS=$(JOBS) PIP_ARGS=$(PIP_ARGS)"

install: $(INSTALLED) ## an editable install with the tested versions, into VENV

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## train a small sweep on the digits, write its report and print where it is
	$(BIN)/vanishgrad train -m depth=20 act=sigmoid remedy=none,relu,batchnorm,residual seed=0,1,2 epochs=10
	$(BIN)/vanishgrad report

test: lint types ## ruff, mypy and the fast tests
	$(TEST)

test-all: lint types test-lowest integrations ## the slow tests too, those of integrations, and some with the lowest versions
	$(TEST) -m ""

integrations: install ## what some tests need that the package does not: launchers, sweepers, clusters
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[optuna,joblib,slurm,dask,ray]'

test-lowest: $(LOWEST)/.installed ## the fast tests of the rooms that others' packages are used in, with their lowest versions
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n $(JOBS) $(OLD) $(ROOMS)

$(LOWEST)/.installed: pyproject.toml lowest.txt
	test -x $(LOWEST)/bin/python || $(LOWEST_PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet $(PIP_ARGS) -c lowest.txt -e '.[dev]'
	$(LOWEST)/bin/python -m pip check
	@touch $@

release-check: install ## build wheel and sdist, and use them in new environments of every PYTHONS
	$(BIN)/python scripts/check_release.py $(PYTHONS)

mutate: install ## change the package in 200 places, one at a time, and list what no test notices; takes an hour
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[mutate]'
	$(BIN)/python scripts/mutate.py --jobs $(JOBS)

lint: install ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict
	$(BIN)/mypy

benchmark: install ## the figures of docs/benchmarks.md: measuring, depth, start-up, sweeps, reports
	$(BIN)/python scripts/benchmark_overhead.py
	$(BIN)/python scripts/benchmark_depth.py
	$(BIN)/python scripts/benchmark_recurrent.py
	$(BIN)/python scripts/benchmark_startup.py
	$(BIN)/python scripts/benchmark_sweep.py
	$(BIN)/python scripts/benchmark_report.py
	$(BIN)/python scripts/benchmark_diagnosis.py
	$(BIN)/python scripts/benchmark_cure.py

figures: install ## train again for the figures in docs/, and draw them
	$(BIN)/python scripts/make_figures.py

lab: install ## run the lab in full, within an hour, and put its page and figures into docs/lab
	$(BIN)/vanishgrad lab out=outputs/lab/full
	mkdir -p docs/lab/figures
	rm -f docs/lab/figures/*
	cp outputs/lab/full/index.html outputs/lab/full/claims.csv outputs/lab/full/measurements.csv docs/lab
	cp outputs/lab/full/figures/*.png docs/lab/figures

clean: ## remove the environment, builds and caches; outputs/ stays
	rm -rf $(VENV) $(LOWEST) build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
