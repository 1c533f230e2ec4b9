# Needs only Python 3.11 or newer, make and pip; everything else goes into .venv.

PYTHON ?= python3
TEXT ?=
READER ?= pickle
BIN := .venv/bin
READY := .venv/.installed

.PHONY: help demo test test-slow test-lowest fuzz bench constraints clean

help:
	@echo "make demo [TEXT=file]   train a small model, restore it without TensorFlow, sample from it (about three minutes)"
	@echo "make test               every check and every test but the slow ones"
	@echo "make test-slow          the slow tests too, and new examples for the property tests"
	@echo "make test-lowest        the tests with the lowest versions that pyproject.toml allows (needs uv)"
	@echo "make fuzz [READER=...]  a reader of bytes fuzzed for a minute, guided by the lines that it reaches (SECURITY.md)"
	@echo "make bench              the measurements that the README reports"
	@echo "make docs               build the manual, strictly, and show it at http://127.0.0.1:8000"
	@echo "make constraints        pin what is installed anew, from pyproject.toml"

demo: $(READY)
	@$(BIN)/python scripts/demo.py $(if $(TEXT),--text "$(TEXT)")

test: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow"

test-lowest:
	test -x .venv-lowest/bin/python || uv venv --quiet --python 3.11 .venv-lowest
	uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[tensorflow,dev]'
	.venv-lowest/bin/pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --hypothesis-profile search

fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=2.3'
	mkdir -p build/found
	test -d build/seeds || $(BIN)/python -m tests.hostile.campaign --count 0 --seeds build/seeds
	$(BIN)/python -m tests.hostile.guided "$(READER)" build/found build/seeds -max_total_time=60 -max_len=20000

bench: $(READY)
	@set -e; for each in restoring stepping scale training starting; do echo "== $$each"; $(BIN)/python benchmarks/$$each.py; done

docs: $(READY)
	test -x .venv-docs/bin/mkdocs || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	$(BIN)/python scripts/manual.py
	.venv-docs/bin/mkdocs build --strict
	.venv-docs/bin/mkdocs serve

constraints:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade --quiet -o constraints.txt

clean:
	rm -rf .venv .venv-lowest .venv-docs site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
