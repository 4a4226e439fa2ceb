# make demo   installs into .venv, measures the machine, optimises one example
# make test   installs and runs all tests
# make corpus judges every cheat and every honest candidate; half an hour
# make lint   style, types, and which part may import which

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# The constraints pin torch: a newer release, or an open range, pulls gigabytes of CUDA libraries.
INSTALL := $(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Tests wait more than they compute: one process more than there are cores, four at most. A file's tests share judges, so
# they stay together, and the dear files come first.
AT_ONCE = -n $(shell $(PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))') --dist loadfile --no-loadscope-reorder

.PHONY: demo test corpus lint clean

demo: $(VENV)/installed
	$(RUN)/kernelwright doctor
	$(RUN)/kernelwright optimize examples/rmsnorm.py --budget 90s

test: $(VENV)/installed-dev
	$(RUN)/python -m pytest $(AT_ONCE)

corpus: $(VENV)/installed-dev
	$(RUN)/python -m pytest -m corpus

lint: $(VENV)/installed-dev
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy
	$(RUN)/lint-imports

$(RUN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: $(PYTHON) is older than Python 3.10; set PYTHON" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "error: cannot make $(VENV); on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 3; }

$(VENV)/installed: pyproject.toml constraints.txt | $(RUN)/python
	@echo "installing into $(VENV) (torch is a large download) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
