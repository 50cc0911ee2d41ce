# The two commands of the README are `make demo` and `make test`; both set up what they need in $(VENV).
# A fresh Debian or Ubuntu needs: apt-get install make g++ python3-venv python3-dev
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS := ort,webgpu,bench,dev
SOURCES := pyproject.toml CMakeLists.txt $(shell find runtime kernels backends models phantoms benchmarks -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: demo test test-fast check-kernels lint format bench clean help

help:
	@echo 'make demo    run both bundles on phantom studies on every CPU backend; open demo-out/index.html'
	@echo 'make test    lint, type check and every test'
	@echo 'make bench   run the benchmarks and put their tables into README.md and docs/bench.md'
	@echo 'make check-kernels  the kernels alone: instruction sets, sanitizers, fuzz targets, aarch64, CUDA, a CPU without AVX'
	@echo 'make format  apply the formatters'

# Tests, demo and benchmarks run what a user would have: the package installed, not the work tree.
$(VENV)/installed: $(SOURCES) constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 12) else "bedside needs Python 3.11 or 3.12, this is %d.%d: make PYTHON=python3.12" % v)'
	@command -v c++ >/dev/null || { echo 'bedside needs a C++ compiler: apt-get install g++'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'bedside needs venv: apt-get install python3-venv'; exit 1; }
	@echo 'Setting up $(VENV): packages and the C++ build take a minute or two'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt scikit-build-core pybind11 cmake ninja
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation '.[$(EXTRAS)]'
	@touch $@

demo: $(VENV)/installed
	$(BIN)/python -m bedside.benchmarks.demo --out demo-out

test: lint
	$(BIN)/python -m pytest

test-fast: $(VENV)/installed
	$(BIN)/python -m pytest -m 'not slow'

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.cpp' '*.h' '*.cu')
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml -p bedside.runtime -p bedside.kernels -p bedside.backends -p bedside.phantoms -p bedside.benchmarks

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files '*.cpp' '*.h' '*.cu')

bench: $(VENV)/installed
	BEDSIDE_SHARED_DATA=$${BEDSIDE_SHARED_DATA:-../shared/data} $(BIN)/python -m bedside.benchmarks.all README.md docs/bench.md

# The kernels' own checks, a line each; scripts/check-kernels says which there are and runs them one by one.
check-kernels: $(VENV)/installed
	PATH=$(CURDIR)/$(BIN):$$PATH PYTHON=$(CURDIR)/$(BIN)/python scripts/check-kernels

clean:
	rm -rf $(VENV) build demo-out
