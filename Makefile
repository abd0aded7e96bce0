# Everything works on a fresh machine with Python 3.11 or newer: each target sets up .venv where it is missing.
PYTHON ?= python3
MODEL ?=
.PHONY: demo test lint tiny clean

demo: .venv/ready
	.venv/bin/python examples/01_quickstart.py $(if $(MODEL),--model $(MODEL))

test: .venv/ready
	.venv/bin/python -m pytest

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Makes examples/glm-tiny anew: about an hour on 2 CPU cores; goes on where it was stopped.
tiny: .venv/ready
	.venv/bin/python examples/03_pretrain.py

.venv/ready: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable '.[test]'
	touch .venv/ready

clean:
	rm -rf .venv runs
