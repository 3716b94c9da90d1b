# Two commands matter: `make lab` opens the workbook, `make test` proves it. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One process more than cores (tests/conftest.py), four at most (one that trains takes a gigabyte); a notebook's cells
# stay together.
PARALLEL := -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=120 --nbval-sanitize-with=tests/nbval.cfg

# Tests start dozens of processes; were compiled modules not kept, each would compile the same ones anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help lab test test-oldest test-newest test-browser test-faults test-docs check data notebooks mlp cnn bench student submission theory-report lint coverage clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# pip would compile all modules, twelve thousand, one after another; Python compiles the few that are used, once. The
# large ones are used here, so that the first start does not wait for them; one that fails, check_environment explains.
USED := import ipywidgets, jupyterlab.labapp, matplotlib.pyplot, scipy.signal, sympy, torch

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"The workbook needs Python 3.11 or newer; $(PYTHON) is {v.major}.{v.minor}. Install one and name it: make lab PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.txt
	@$(BIN)/python -c '$(USED)' 2> /dev/null || true
	@touch $@

lab: $(READY) ## set up if needed and open JupyterLab on the first notebook
	$(BIN)/jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

test: $(READY) ## set up if needed, run every unit test, then every notebook against its stored outputs
	$(BIN)/python -m pytest tests notebooks $(NBVAL) $(PARALLEL)

test-oldest: ## the same in .venv-oldest, with the lowest versions that requirements.txt allows
test-newest: ## the same in .venv-newest, with the newest versions that the registry offers (but torch and its pair)

test-browser: $(READY) ## drive JupyterLab in Chromium: every notebook, every control, screenshots, latency
	$(BIN)/python -m pytest tests/browser

test-faults: $(READY) ## kill commands at random, fill the disk, damage files, change the environment; count the faults
	$(BIN)/python -m pytest tests/faults

test-docs: $(READY) ## execute every command of README.md and CONTRIBUTING.md, long trainings up to their first epoch
	$(BIN)/python -m pytest tests/docs

check: $(READY) ## say what this machine has and what is missing
	$(BIN)/python -m helpers.check_environment

data: $(READY) ## download and verify MNIST and CIFAR-10 into data/
	$(BIN)/python -m helpers.datasets

notebooks: $(READY) ## run every notebook from its text twin and store the outputs, cleaned
	$(BIN)/python -m helpers.build_notebooks

mlp: $(READY) ## train the MLP of Programming 1, every recipe (resumes where it was stopped)
	$(BIN)/python -m helpers.train_mlp

cnn: $(READY) ## train the CNN of Programming 2, preset fast (any other: python -m helpers.p2 --help)
	$(BIN)/python -m helpers.p2 --preset fast

bench: $(READY) ## measure speed in under ten minutes, for README's table; a part: make bench SECTIONS="mlp cnn"
	$(BIN)/python -m helpers.benchmarks $(SECTIONS)

student: $(READY) ## build the student edition into build/student/: the notebooks without the answers
	$(BIN)/python -m helpers.student

submission: $(READY) ## try every file of the hand-in and pack it into artifacts/submission.zip
	$(BIN)/python -m helpers.submission

theory-report: $(READY) ## print the theory answers into artifacts/theory_report.pdf (needs Chromium, no LaTeX)
	$(BIN)/python -m helpers.theory_report

lint: $(READY) ## check style, formatting and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check helpers tests notebooks && $(BIN)/mypy

coverage: $(READY) ## say which lines of helpers/ the unit tests do not run; fails below 95 %
	$(BIN)/python -m pytest tests $(PARALLEL) --cov --cov-report=term --cov-fail-under=95

test-oldest test-newest: test-%: .venv-%/.ready
	.venv-$*/bin/python -m pytest tests notebooks $(NBVAL) $(PARALLEL)

.venv-%/.ready: requirements.txt pyproject.toml tests/versions.py
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade pip
	.venv-$*/bin/python tests/versions.py $* > .venv-$*/requirements.txt
	.venv-$*/bin/python -m pip install --quiet --no-compile -r .venv-$*/requirements.txt
	@touch $@

clean: ## remove the environment and everything built (data/ stays)
	rm -rf $(VENV) .venv-oldest .venv-newest build *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage* .hypothesis
