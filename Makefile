# Two commands matter: `make demo` and `make test`. Windows users: see the pip lines in README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STAMP_TEST := $(VENV)/.installed-test
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

GOLDEN ?= ../shared/golden

.PHONY: demo test chromium check bench parity schema gallery clean

demo: $(STAMP)
	@$(BIN)/mofa demo --overwrite -o out/demo.mp4

test: check chromium
	$(BIN)/python -m pytest -rs --no-fold-skipped

# The studio's tests drive a browser. Where none can be installed unasked they are skipped, and say so.
chromium:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	  as_root=$$(test "$$(id -u)" = 0 && echo env || echo "sudo -n"); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq chromium; \
	}; } >/dev/null 2>&1 || echo "no Chromium, and none could be installed: the browser tests will be skipped"

check: $(STAMP_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: $(STAMP_TEST)
	$(BIN)/python -m tools.bench

# Compares every network with reference outputs: minutes, and up to 20 GB of memory.
parity: $(STAMP_TEST)
	$(BIN)/python -m tools.parity $(GOLDEN)

# Files that are made from others.
schema: $(STAMP_TEST)
	$(BIN)/mofa schema > docs/scene.schema.json

gallery: $(STAMP_TEST)
	$(BIN)/python -m tools.gallery

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
