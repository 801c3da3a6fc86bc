# Two commands set up everything: `make demo` and `make test`. Needed beforehand: Python 3.11 or newer, and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check benchmark

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python found: install Python 3.11 or newer, or say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than Python 3.11; say which to use: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# The stamp is older than pyproject.toml after any change of dependencies, and only then is pip run again.
$(STAMP): pyproject.toml constraints/cpu.txt | $(BIN)/python
	@echo "Installing into $(VENV): a few minutes the first time ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/cpu.txt -e ".[dev]"
	@touch $(STAMP)

install: $(STAMP)  ## Make .venv and install the package into it, with the tools for development

# The scene is simulated: a siren on the left, far away. One of the eight sentences says so.
demo: $(STAMP)  ## Simulate a scene, ask it eight sentences, save a picture of the answer
	$(BIN)/spatial-audio-lm simulate $(DEMO) --sound siren --direction left --distance far --seed 10
	@echo
	$(BIN)/spatial-audio-lm query $(DEMO)/scene-0000.wav --plot $(DEMO)/query.png \
	  "a siren from the left" "a siren from the right" "a siren from the front" "a siren from behind" \
	  "a bird singing on the left" "a telephone ringing on the right" "rain from behind" "footsteps in front"

test: $(STAMP)  ## Run the default test suite (no network, no GPU, under ten minutes on two cores)
	$(BIN)/python -m pytest

test-slow: $(STAMP)  ## Run the long tests
	$(BIN)/python -m pytest -m slow

check: $(STAMP)  ## Lint and check types
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark: $(STAMP)  ## Print the speed of rendering, of mixing scenes, of a query and of the encoders beside their limits
	$(BIN)/python benchmarks/rendering.py
	$(BIN)/python benchmarks/scenes.py
	$(BIN)/python benchmarks/query.py
	$(BIN)/python benchmarks/encoders.py
