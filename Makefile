# Each target does its own set-up. PYTHON names the interpreter, WORKERS the processes that run tests.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.stamp

.PHONY: help venv demo test lint format docs bench data accuracy scenarios clean

help:
	@echo "make demo    watch an incident from alert to verified fix, for real"
	@echo "make test    run every test"
	@echo "make lint    check format, style, types and dependency rules"
	@echo "make format  format the code"
	@echo "make docs    write docs/configuration.md anew from the schema"
	@echo "make bench   measure, against a baseline of the same run"
	@echo "make accuracy DATA=DIR   score the public datasets, whose archives lie in DIR"
	@echo "make clean   remove everything that was built"

venv: $(READY)

$(READY): pyproject.toml .ci/venv
	@echo "Setting up $(VENV) (once, a minute or two)"
	@PYTHON=$(PYTHON) .ci/venv $(VENV)
	@touch $@

demo: $(READY)
	@$(BIN)/assent demo

test: $(READY)
	@.ci/servers
	@.ci/corpora $(BIN)/python
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

# The linter's cache keeps imports as they were resolved when a target did not exist yet: a violation stays unseen.
lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check --no-cache
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY)
	$(BIN)/python -m config.reference > docs/configuration.md

bench: $(READY)
	$(BIN)/python -m benchmarks

scenarios: $(READY)
	$(BIN)/python -m benchmarks.scenarios --kind kubernetes tests/scenarios

# The archives are not ours to ship: docs/benchmarks.md says where they are from.
data: $(READY)
	@test -d "$(DATA)" || { echo "DATA must name the folder with the archives: make data DATA=DIR"; exit 1; }
	@mkdir -p data
	@for archive in "$(DATA)"/*.tar.xz; do tar xJf "$$archive" -C data; done
	@ls data

accuracy: data
	$(BIN)/python -m benchmarks.accuracy --data data
	$(BIN)/python -m benchmarks.rootcausebench --data data/rootcausebench

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
