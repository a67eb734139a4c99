# make demo   set up, run every paper at demo scale on generated images, leave results/report.html
# make test   set up, run the tests (PYTEST_WORKERS at a time);   make lint   the style checks alone
# make test-all   the long ones as well;   make test-long   those alone (docs/testing.md)
# make test-cluster   the tests on a SLURM of its own, which is installed where it is missing (root)
# make docs   the documentation as a site, site/index.html, to be read without a network
# make lock   resolve envs/requirements.in anew (needs uv);   make clean   remove what was made

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
CORES ?= all
PYTEST_WORKERS ?= 2
# Files are read as UTF-8 whatever the machine's locale.
export PYTHONUTF8 := 1
# Compiled modules are kept: compiling torch's or ITK's anew takes longer than most jobs.
unexport PYTHONDONTWRITEBYTECODE
PYTEST = $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup --no-loadscope-reorder \
	--durations 15 $(PYTEST_OPTIONS)

.PHONY: demo docs docs-for-tests test test-all test-cluster test-long lint format lock clean setup

setup: $(VENV)/ready

# uv installs the same lock in a fraction of pip's time; pip does where uv cannot be had, and torch
# always: which of its builds comes is a matter of pip's settings on the machine.
$(VENV)/ready: envs/requirements.lock envs/torch.lock envs/installer.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "warpline needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(PIP) --no-deps --require-hashes --requirement envs/installer.lock || true
	@for install in "$(BIN)/uv pip install --quiet --python $(BIN)/python" "$(PIP)"; do \
		$$install --no-deps --require-hashes --requirement envs/requirements.lock && exit; \
		echo "not installed by: $$install" >&2; \
	done; exit 1
	$(PIP) --requirement envs/torch.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml
	@echo "Open results/report.html"

test: setup lint docs-for-tests
	$(PYTEST) -m "not long"

test-long: setup
	$(PYTEST) -m long

test-all: setup lint docs-for-tests
	$(PYTEST)

# The plugin lies in a folder of its own: Snakemake loads all that it finds, which takes a second.
test-cluster: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(VENV)/slurm --requirement envs/slurm.lock
	tests/cluster/cluster.sh install
	PYTHONPATH=$(CURDIR)/$(VENV)/slurm $(BIN)/python -m pytest tests/cluster

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check --compact-diff Snakefile workflow
	$(BIN)/snakemake --lint

docs: $(VENV)/docs/ready
	$(BIN)/python docs/site/reference.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict --quiet
	@echo "Open site/index.html"

# In an environment of its own: nothing else needs what builds the pages.
$(VENV)/docs/ready: envs/docs.lock $(VENV)/ready
	$(PYTHON) -m venv --without-pip $(VENV)/docs
	@for install in "$(BIN)/uv pip install --python $(VENV)/docs/bin/python" \
		"$(BIN)/python -m pip --python $(VENV)/docs/bin/python install --disable-pip-version-check"; do \
		$$install --quiet --no-deps --require-hashes --requirement envs/docs.lock && touch $@ && exit; \
		echo "not installed by: $$install" >&2; \
	done; exit 1

# The tests build the site too; without what builds it, that one is skipped.
docs-for-tests: setup
	@$(MAKE) --no-print-directory $(VENV)/docs/ready || echo "MkDocs is not installed: the site is not tested" >&2

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

lock:
	uv pip compile --config-file envs/uv.toml --universal --python-version 3.11 --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --generate-hashes \
		--no-emit-package torch \
		envs/requirements.in -o envs/requirements.lock
	echo uv | uv pip compile --config-file envs/uv.toml --universal --python-version 3.11 --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --generate-hashes - -o envs/installer.lock

	uv pip compile --config-file envs/uv.toml --universal --python-version 3.11 --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --generate-hashes \
		envs/docs.in -o envs/docs.lock

clean:
	rm -rf results/* .snakemake
