# `make demo` and `make test` do all the set-up first: they need Python 3.11 or newer and a C++ compiler, nothing else.
#
#   make demo      reconstruct the sample video, or VIDEO=path; pictures and a page in out/demo
#   make test      the tests
#   make check     style, format, types
#   make install   .venv, dependencies, kernels; the others begin with it
#   make gpu       on a machine with a GPU: kernels, their tests, the benchmark; figures in docs/results
#   make gpu-peers the same beside gsplat, which is built first
#   make clean     remove the kernels' build folder and the environment
#
# SPLATWORLD_CUDA=auto|off|native|all says for which GPUs kernels are built: auto (default) for this machine's, where there
# are nvcc and a GPU; native insists on them; all is for releases.
# PYTHON names the interpreter that .venv is made with: make test PYTHON=python3.12
#
# `make gpu` takes PYTHON as it is and fetches nothing: it wants torch with CUDA, nvcc, cmake, ninja, nanobind,
# scikit-build-core, pytest and hypothesis. `make gpu-peers` fetches gsplat, or takes it from a folder: WHEELS=path.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check install --constraint constraints.txt
KERNELS := $(shell find cuda -type f)
BUILT := $(VENV)/.kernels$(SPLATWORLD_CUDA)

.PHONY: install demo test check gpu gpu-peers clean

install: $(BUILT)

demo: install
	$(VENV)/bin/splatworld demo $(if $(VIDEO),--video "$(VIDEO)")

test: install
	$(RUN) -m pytest

check: install
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

# Its tests run again under compute-sanitizer where that works; it does not on every virtual machine.
gpu:
	SPLATWORLD_CUDA=native $(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(PYTHON) -m pytest tests/core tests/render -k cuda
	if compute-sanitizer $(PYTHON) -c "import torch; torch.ones(1).cuda()" > /dev/null 2>&1; then \
	  compute-sanitizer --error-exitcode 1 $(PYTHON) -m pytest tests/render/test_parity.py -k cuda; \
	else echo "compute-sanitizer does not run here"; fi
	$(PYTHON) -m splatworld.evaluate gpu \
	  -o docs/results/$$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr 'A-Z ' 'a-z-')-$$(date +%F).json

gpu-peers:
	$(PYTHON) -m pip install --quiet --no-deps $(if $(WHEELS),--no-index --find-links $(WHEELS)) gsplat==1.5.3
	TORCH_CUDA_ARCH_LIST=$$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1) MAX_JOBS=$$(nproc) \
	  $(PYTHON) -c "from gsplat.cuda._backend import _C; assert _C is not None, 'gsplat was not built'"
	$(MAKE) gpu

clean:
	rm -rf build $(VENV)

$(VENV)/.made:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "$(PYTHON) is older than Python 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# Torch goes first and alone, so that nothing else draws in another build of it.
$(VENV)/.dependencies: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) cmake nanobind ninja scikit-build-core
	touch $@

$(BUILT): $(VENV)/.dependencies $(KERNELS)
	$(PIP) --no-build-isolation --editable ".[eval,sim,test]"
	touch $@
