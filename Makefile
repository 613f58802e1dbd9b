PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Small layers on busy cores are many times slower with torch's default thread count.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint types mutate benchmark figures lab clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
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

test-all: lint types ## the slow tests too
	$(TEST) -m ""

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
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
