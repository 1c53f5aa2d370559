# `make demo` and `make test` do all the set-up first: they need Python 3.11 or newer and a C++ compiler, nothing else.
#
#   make demo      reconstruct the sample video, or VIDEO=path; pictures and a page in out/demo
#   make test      the tests
#   make check     style, format, types
#   make install   .venv, dependencies, kernels; the others begin with it
#   make clean     remove the kernels' build folder and the environment
#
# SPLATWORLD_CUDA=auto|off|native|all says for which GPUs kernels are built: auto (default) for this machine's, where there
# are nvcc and a GPU; native insists on them; all is for releases.
# PYTHON names the interpreter that .venv is made with: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check install --constraint constraints.txt
KERNELS := $(shell find cuda -type f)
BUILT := $(VENV)/.kernels$(SPLATWORLD_CUDA)

.PHONY: install demo test check clean

install: $(BUILT)

demo: install
	$(VENV)/bin/splatworld demo $(if $(VIDEO),--video "$(VIDEO)")

test: install
	$(RUN) -m pytest

check: install
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

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
