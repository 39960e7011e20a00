# From nothing but Python, g++ and make: `make demo`.
#
#   make install        .venv with the `fields` command       make lint           style and types
#   make demo           fits a real picture, says where       make bench          the README's numbers
#   make test           the tests                             make cuda-check     compiles every .cu
#   make format         brings all files to that style        make aarch64-check  compiles for ARM
#   make clean          removes what was built
#
# Another torch: make install TORCH_VERSION=2.11.0. Another Python: make install PYTHON=python3.12.

PYTHON ?= python3
TORCH_VERSION ?= 2.13.0
VENV ?= .venv
NVCC ?= nvcc
AARCH64_CXX ?= aarch64-linux-gnu-g++

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet
INSTALLED := $(VENV)/installed-torch-$(TORCH_VERSION)
DEVELOPS := $(VENV)/develops-torch-$(TORCH_VERSION)
HEADERS := $(wildcard csrc/*/*.h csrc/*/*.cuh)
SOURCES := $(HEADERS) $(wildcard csrc/*.cpp csrc/*/*.cpp csrc/*/*.cu)

.PHONY: install demo test lint format bench cuda-check aarch64-check clean

install: $(INSTALLED) fields/_C.abi3.so

demo: install
	$(BIN)/fields fit astronaut --out runs/demo --overwrite
	@echo "The picture in the network, drawn back from it: $(CURDIR)/runs/demo"

test: install $(DEVELOPS)
	$(BIN)/python -m pytest

lint: $(DEVELOPS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(SOURCES)
	$(BIN)/pyright

format: $(DEVELOPS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(SOURCES)

bench: install
	$(BIN)/fields bench kernels
	$(BIN)/fields bench image

clean:
	rm -rf build dist *.egg-info fields/*.so

# ---- The environment. Its marks lie in it, so that it can be thrown away in one piece.

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): setup.py pyproject.toml $(wildcard scenes/__init__.py viewer/__init__.py) | $(BIN)/python
	$(PIP) torch==$(TORCH_VERSION) "setuptools>=77" wheel ninja numpy
	$(PIP) --no-build-isolation torch==$(TORCH_VERSION) --editable .
	@rm -f $(VENV)/installed-torch-* $(VENV)/develops-torch-*
	@touch $@

# The editable install has compiled the extensions; this compiles again what has changed since.
fields/_C.abi3.so: $(SOURCES) setup.py | $(INSTALLED)
	$(BIN)/python setup.py build_ext --inplace
	@touch $@

$(DEVELOPS): $(INSTALLED)
	$(PIP) torch==$(TORCH_VERSION) "fields-engine[dev]"
	@$(PIP) torch==$(TORCH_VERSION) "fields-engine[shapes]" || \
	echo "open3d could not be installed: tests that need it are skipped"
	@touch $@

# ---- CUDA: the flags of setup.py, against the headers of whichever torch is there (a CPU one too).

TORCH_INCLUDE = $(shell $(BIN)/python -c "from importlib.util import find_spec; \
	print(find_spec('torch').submodule_search_locations[0] + '/include')")
NVCC_FLAGS = -O3 -std=c++17 -DUSE_CUDA -DTORCH_TARGET_VERSION=0x020b000000000000 \
	-DTORCH_API_INCLUDE_EXTENSION_H -DPy_LIMITED_API=0x030A0000 \
	-D__CUDA_NO_HALF_OPERATORS__ -D__CUDA_NO_HALF_CONVERSIONS__ \
	-D__CUDA_NO_BFLOAT16_CONVERSIONS__ -D__CUDA_NO_HALF2_OPERATORS__ \
	--expt-relaxed-constexpr --compiler-options -fPIC \
	-gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_90,code=sm_90
CUDA_OBJECTS := $(patsubst csrc/cuda/%.cu,build/cuda-check/%.o,$(wildcard csrc/cuda/*.cu))

cuda-check: $(INSTALLED)
	@if ! command -v $(NVCC) >/dev/null; then echo "cuda-check: skipped, no $(NVCC) here"; \
	else $(MAKE) --no-print-directory --jobs 2 cuda-objects && \
	echo "cuda-check: $(words $(CUDA_OBJECTS)) .cu files compile for sm_80 and sm_90"; fi

.PHONY: cuda-objects
cuda-objects: $(CUDA_OBJECTS)

build/cuda-check/%.o: csrc/cuda/%.cu $(HEADERS)
	@mkdir -p $(@D)
	$(NVCC) $(NVCC_FLAGS) -Icsrc -I$(TORCH_INCLUDE) -c $< -o $@

# ---- ARM, with Debian's cross compiler: each header of the maths, which knows nothing of torch, then
# the CPU kernels as `setup.py` would compile them there.

AARCH64_FLAGS = -O3 -std=c++17 -Wall -Werror -fvisibility=hidden \
	-DTORCH_TARGET_VERSION=0x020b000000000000 -Icsrc -isystem $(TORCH_INCLUDE)
AARCH64_OBJECTS := $(patsubst csrc/%.cpp,build/aarch64-check/%.o,$(wildcard csrc/*.cpp csrc/cpu/*.cpp))

aarch64-check: $(INSTALLED)
	@if ! command -v $(AARCH64_CXX) >/dev/null; then \
	echo "aarch64-check: skipped, no $(AARCH64_CXX) here (Debian: g++-aarch64-linux-gnu)"; \
	else set -e; for header in $(wildcard csrc/maths/*.h); do \
	echo "#include \"$$header\"" | \
	$(AARCH64_CXX) -std=c++17 -Wall -Werror -I. -Icsrc -x c++ -fsyntax-only - || exit 1; done; \
	$(MAKE) --no-print-directory --jobs 2 aarch64-objects && \
	echo "aarch64-check: the headers and $(words $(AARCH64_OBJECTS)) .cpp files compile"; fi

.PHONY: aarch64-objects
aarch64-objects: $(AARCH64_OBJECTS)

build/aarch64-check/%.o: csrc/%.cpp $(HEADERS)
	@mkdir -p $(@D)
	$(AARCH64_CXX) $(AARCH64_FLAGS) -c $< -o $@
