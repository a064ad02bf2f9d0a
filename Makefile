# Two commands matter: `make demo` and `make test`. Windows users: see the pip lines in README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STAMP_TEST := $(VENV)/.installed-test
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench examples schema clean

demo: $(STAMP)
	@$(BIN)/mofa demo --overwrite -o out/demo.mp4

test: check
	$(BIN)/python -m pytest

check: $(STAMP_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: $(STAMP_TEST)
	$(BIN)/python -m tools.bench

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first, on its own: with it in place nothing below can pull another build in.
$(STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch
	$(PIP) -e ".[faces]"
	@touch $@

$(STAMP_TEST): $(STAMP) pyproject.toml constraints.txt
	$(PIP) -e ".[dev,diffusion,faces,studio]"
	@touch $@

clean:
	rm -rf $(VENV) out build dist
