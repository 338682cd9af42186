# Two commands do everything on a fresh machine: `make demo` and `make test`.
# README.md has the plain pip lines for machines without make.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo web test lint clean

demo: $(VENV)/.base
	$(BIN)/python demo.py $(ARGS)

# What the page of `detector serve` runs on; needs npm and a network, once.
web: $(VENV)/.base
	$(BIN)/detector serve --build

test: $(VENV)/.dev
	# The fast ones first, in processes of their own: the slow ones load every library there is.
	# A worker that is done takes over tests of the other's; slow modules share trained runs, so
	# they stay whole.
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist worksteal $(ARGS)
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Stamps: an install is repeated only when pyproject.toml changed.
$(VENV)/.base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	# albumentations brings opencv-python-headless; where that came last, cv2 has lost its window.
	$(BIN)/python -c "import cv2, re, sys; sys.exit(bool(re.search(r'GUI:\s+NONE', cv2.getBuildInformation())))" \
		|| $(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python
	touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
