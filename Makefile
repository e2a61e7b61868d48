# rhvae-mri. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The first Python on the machine that the pins are made for; override with `make PYTHON=… demo`.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
CORES ?= $(shell nproc)
RESULTS ?= results

VENV := .venv
READY := $(VENV)/.complete
BIN := $(VENV)/bin
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.complete

NEWEST := .venv-newest

# Up to eight processes at once, so each computes with one thread. The folders with the longest tests come first, and the
# order stays so: pytest-xdist would put the files with the fewest tests last, and these are the long ones.
QUICK_TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder -m "not demo"

# Two studies at a time: the demo and what is tested of it, and the small study, disturbed and through Slurm, which
# often waits. tests/conftest.py keeps the tests of each study in one process.
STUDY_TESTS = $(BIN)/python -m pytest --verbose --numprocesses 2 -m demo

# Of what pip says: the packages of 10 MB and more, and when it unpacks.
BIG_STEPS = sed -unE 's/^ *(Downloading .*\([0-9]{2,}\.[0-9] [MG]B\)).*/  \1/p; s/^Installing collected.*/  Unpacking all packages/p'

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Users of services and of containers may have no name, and no home that they can write to.
export USER := $(or $(USER),$(shell id -un 2> /dev/null),nobody)
ifneq ($(shell test -w "$${HOME-}" && echo writable), writable)
export HOME := $(CURDIR)/.home
endif

# What programs keep stays below the clone, but for what pip has fetched, which other clones take as well.
export PIP_CACHE_DIR := $(or $(PIP_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pip)
export XDG_CACHE_HOME := $(CURDIR)/.home/.cache
export MPLCONFIGDIR := $(XDG_CACHE_HOME)/matplotlib

.PHONY: help
help: ## List the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1 \t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: targets
targets: ## List the targets of the workflow, as commands.
	@sed -nE '/^rule /{s/rule (.*):/\1/;h;n;s/^ *"""(.*)/\1/;s/"""$$//;x;G;s/\n/\t/;s|^|  $(BIN)/snakemake |;p}' workflow/Snakefile workflow/rules/estimate.smk | expand -t 38

.PHONY: demo
demo: $(READY) ## Run the whole study on a simulated cohort (minutes, two cores, no data, no GPU).
	@$(BIN)/snakemake --cores $(CORES)

.PHONY: status
status: $(READY) ## Say how far the last run is, also while it goes on; RESULTS=results-paper for the real study.
	@PYTHONPATH=workflow $(BIN)/python -m rhvae_mri.runtime.progress $(RESULTS)

# A difference is no failure of `make`.
.PHONY: compare
compare: $(READY) ## Compare two finished studies step by step: make compare OTHER=results-other, and RESULTS=… for the first.
	@PYTHONPATH=workflow $(BIN)/python -m rhvae_mri.provenance.compare "$(RESULTS)" "$(OTHER)" || [ $$? -eq 1 ]

.PHONY: quick-tests
quick-tests: $(READY) ## Run the tests that need no finished study.
	$(QUICK_TESTS)

.PHONY: test
test: quick-tests ## Run all tests, the demo included.
	@echo "Now two studies are run, and what they write is tested: for some minutes there is nothing to see."
	$(STUDY_TESTS)

.PHONY: newest
newest: envs/check_python.py ## Run the tests, but for those of whole studies, with the newest packages that requirements.in allows.
	"$(PYTHON)" envs/check_python.py
	rm -rf $(NEWEST)
	"$(PYTHON)" -m venv $(NEWEST)
	$(NEWEST)/bin/pip install --quiet --requirement envs/requirements.in
	$(QUICK_TESTS:$(BIN)/%=$(NEWEST)/bin/%)

.PHONY: lint
lint: $(READY) ## Check format, style and types of workflow and library.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

.PHONY: coverage
coverage: $(READY) ## Measure how much of the library the unit tests run; fail below 90 %.
	$(BIN)/coverage run -m pytest tests/unit workflow/rhvae_mri
	$(BIN)/coverage report

.PHONY: format
format: $(READY) ## Bring workflow and library into the common format.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt workflow

.PHONY: docs
docs: $(READY) ## Write schema, config/config.yaml, config/README.md and the figures of docs/results.md.
	PYTHONPATH=workflow $(BIN)/python -m rhvae_mri.pages.documents .

.PHONY: environment
environment: $(READY) ## Only create .venv with the exact pins.

.PHONY: peers
peers: $(PEERS_READY) ## Only create .venv-peers with the implementations that the tests compare with.

.PHONY: pins
pins: ## Resolve envs/requirements.in anew into the exact pins of envs/requirements.txt.
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder" && \
	"$$folder/bin/pip" install --quiet --dry-run --ignore-installed --report "$$folder/report.json" -r envs/requirements.in && \
	$(PYTHON) envs/pin.py < "$$folder/report.json" > envs/requirements.new && mv envs/requirements.new envs/requirements.txt

.PHONY: clean
clean: ## Remove the environment and the caches; results stay.
	rm -rf $(VENV) $(PEERS) $(NEWEST) .home .pytest_cache .ruff_cache .mypy_cache .coverage

# A half-made environment has no $(READY) and is made anew.
$(READY): envs/requirements.txt envs/check_python.py
	@[ -n "$(PYTHON)" ] || { echo "No python3 found. Install Python 3.11, 3.12 or 3.13 with its venv module."; exit 1; }
	@command -v "$(PYTHON)" > /dev/null || { echo "There is no program $(PYTHON): give PYTHON the path of a Python 3.11 to 3.13."; exit 1; }
	@"$(PYTHON)" envs/check_python.py
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	@echo "Installing into $(VENV): minutes, and 3.8 GB with a CPU build of torch or 7.3 GB with CUDA."
	@$(BIN)/pip install --progress-bar off --requirement envs/requirements.txt | $(BIG_STEPS)
	touch $@

# The packages of $(VENV) are seen from there too, behind its own. pip does not see them while it installs.
$(PEERS_READY): envs/peers.txt $(READY)
	rm -rf $(PEERS)
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --no-deps --requirement envs/peers.txt
	purelib='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	$(BIN)/python -c "$$purelib" > "$$($(PEERS)/bin/python -c "$$purelib")/study.pth"
	touch $@
