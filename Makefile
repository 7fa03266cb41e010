# Targets: install, demo, test, test-fast, downstream, matrix, screens, bench, bench-short, bench-memory, soak, lint, fix,
# clean.
#
# Variables:
#   DATA      the folder of the data sets, for the benchmarks (default: $SETFIT_CORE_DATA)
#   SETFIT_PYTHON  an interpreter that has setfit, for the benchmarks (default: they make .bench-venv)
#   HEADS     the heads that `make downstream` tries (default: all of downstream/recipes.toml)
#   BENCH     more options for the benchmarks, such as BENCH="--cells sst2:8 --seeds 1"
#   SOAK      options for `make soak`, such as SOAK="--minutes 5" (default: 30 minutes)
#   PYTHON    the interpreter that makes the environment (default: python3)
#   TORCH     what pip installs as PyTorch. On a machine whose index offers a CPU build, the default is enough.
#             PyTorch's own CPU index:  make install TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
#             A build for GPUs:         make install TORCH=torch CONSTRAINTS=

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
TORCH ?= torch
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PLUGINS := $(filter-out plugins/setfit-head-xgboost,$(wildcard plugins/*))
XGBOOST_PLUGIN := plugins/setfit-head-xgboost
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
DATA ?= $(SETFIT_CORE_DATA)
BENCH_VENV ?= .bench-venv
ifndef SETFIT_PYTHON
SETFIT_PYTHON := $(abspath $(BENCH_VENV))/bin/python
SETFIT_STAMP := $(BENCH_VENV)/.installed
endif
BENCH_ARGUMENTS = $(if $(DATA),--data "$(DATA)") --setfit-python "$(SETFIT_PYTHON)"

# Nothing here needs the hub. Threads that wait for each other sleep instead of spinning: on a busy machine of few
# cores, spinning makes a training step several times as slow.
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export OMP_WAIT_POLICY := PASSIVE
# The clean-environment test installs PyTorch as `make install` does.
export TORCH

.PHONY: install demo test test-fast downstream matrix screens bench bench-short bench-memory soak lint fix clean

install: $(STAMP)

# PyTorch comes first and alone, so that nothing else decides which build is taken. The xgboost head comes last and
# without its requirements: it asks for `xgboost`, which brings NCCL on Linux, hundreds of megabytes for GPUs. The
# group dev has brought `xgboost-cpu`, the same import, where there is one.
$(STAMP): pyproject.toml $(PLUGINS:%=%/pyproject.toml) $(XGBOOST_PLUGIN)/pyproject.toml $(CONSTRAINTS) Makefile
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"
	$(PIP) install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) $(TORCH)
	$(PIP) install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --group dev \
		--editable ".[demo]" $(PLUGINS:%=--editable %)
	$(PIP) install --quiet --no-deps --editable $(XGBOOST_PLUGIN)
	@touch $@

demo: install
	$(BIN)/python demo/chat_router.py

# One process a core, with one thread each. What a module of tests prepares is prepared once. tests/conftest.py puts
# the longest modules first, so that no core waits for one of them at the end.
test: install
	OMP_NUM_THREADS=1 $(PYTEST) --numprocesses auto --dist loadfile --no-loadscope-reorder

test-fast: install
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow" --numprocesses auto

# Each head of the recipes from its wheel, in an environment of its own, against the core of this checkout.
downstream: install
	$(BIN)/python downstream/run.py $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) $(HEADS)

# Try the conformance suite on all specimens, and write down in docs/kill-matrix.md what it finds.
matrix: install
	$(BIN)/python tests/testing/kill_matrix.py

# Run the commands that docs/command-line.md shows, and put what they print below them.
screens: install
	OMP_NUM_THREADS=1 $(BIN)/python docs/screens.py

# setfit has an environment of its own: its requirements must not decide which versions this project runs on. The
# constraints give both sides the same PyTorch.
$(BENCH_VENV)/.installed: $(CONSTRAINTS) Makefile
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) $(TORCH)
	$(BENCH_VENV)/bin/python -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) setfit==1.2.0
	@touch $@

bench: install $(SETFIT_STAMP)
	$(BIN)/python -m benchmarks.bench $(BENCH_ARGUMENTS) $(BENCH)

bench-short: install $(SETFIT_STAMP)
	$(BIN)/python -m benchmarks.bench $(BENCH_ARGUMENTS) --short $(BENCH)

bench-memory: install $(SETFIT_STAMP)
	$(BIN)/python -m benchmarks.memory $(BENCH_ARGUMENTS) $(BENCH)

# Train, save, load and predict for half an hour, and fail if memory, files or threads grow.
soak: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak $(SOAK)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
