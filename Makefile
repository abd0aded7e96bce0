# Everything works on a fresh machine with Python 3.11 or newer: each target sets up .venv where it is missing.
PYTHON ?= python3
MODEL ?=
SPACE ?= runs/space
LOWEST = transformers==5.10.1
.PHONY: demo app space test test-lowest lint tiny card clean

demo: .venv/ready
	.venv/bin/python examples/01_quickstart.py $(if $(MODEL),--model $(MODEL))

# The page on which blanks are filled.
app: .venv/ready
	.venv/bin/python examples/app.py --open $(if $(MODEL),--model $(MODEL))

# The same page as a Space of the hub: a folder to upload, with the package in it.
space:
	rm -rf '$(SPACE)'
	mkdir -p '$(SPACE)'
	cp examples/space/* examples/app*.py LICENSE '$(SPACE)'
	cp -r examples/glm-tiny modeling_glm '$(SPACE)'
	cp -r tokenization '$(SPACE)/modeling_glm'
	find '$(SPACE)' -name __pycache__ -prune -exec rm -r {} +

test: .venv/ready
	.venv/bin/python -m pytest

# The tests on the lowest version of Transformers that the package claims, and what goes with it.
test-lowest: .venv-lowest/ready
	.venv-lowest/bin/python -m pytest -p no:cacheprovider -m "not slow" tests/modeling_glm tests/tokenization tests/test_readme.py

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Makes examples/glm-tiny anew: about 75 minutes on 2 CPU cores; goes on where it was stopped.
tiny: .venv/ready
	.venv/bin/python examples/03_pretrain.py --export examples/glm-tiny --export_dtype bfloat16

# Writes MODEL_CARD.md anew: its text is in modeling_glm/hub/project_card.py, its figures follow from the presets.
card: .venv/ready
	.venv/bin/python -m modeling_glm.hub.project_card MODEL_CARD.md

.venv/ready: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable '.[test]'
	touch .venv/ready

.venv-lowest/ready: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	grep -vE '^(transformers|huggingface_hub|tokenizers)=' requirements.txt > .venv-lowest/constraints.txt
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check --constraint .venv-lowest/constraints.txt '$(LOWEST)' --editable '.[test]'
	touch .venv-lowest/ready

clean:
	rm -rf .venv .venv-lowest runs
