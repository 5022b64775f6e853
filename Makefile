# Two commands work on a fresh machine with only Python (3.11-3.13) and make: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A file's tests stay together, since they share fixtures; the order is that of tests/conftest.py, longest first.
DIST := --dist=loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 1
# Where it is set, as in many containers, every process would compile TensorFlow and Beam anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test test-fast lint format lock clean

setup: $(INSTALLED)

run: $(INSTALLED)
	$(BIN)/python -m pipelines.run $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 $(DIST) $(ARGS)

# While developing: most of the tests.
test-fast: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 $(DIST) -m "not slow and not simulation and not integration" $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Resolves for all supported versions of Python at once.
lock: $(INSTALLED)
	$(BIN)/uv pip compile setup.py --extra all --universal --python-version 3.11 --no-annotate --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock
	$(BIN)/uv pip compile requirements-predict.in --constraint requirements.lock --universal --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" --output-file requirements-predict.txt

clean:
	rm -rf $(VENV) runs build *.egg-info

# uv installs the same wheels as pip in a tenth of the time.
$(INSTALLED): requirements.lock setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $(INSTALLED)
