# Two commands do everything: `make demo` and `make test`. Each sets up what it needs first; nothing has to be installed by hand.
.DEFAULT_GOAL := help
PY := .venv/bin/python
PART ?= loop
SHELL := /bin/bash
# Where Python may not keep what it compiled, each of the hundreds of processes that the tests start compiles all of it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-dev demo test quick test-long check bench lock generate clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## the environment: .venv with pinned, hash-checked packages
	@scripts/setup runtime

setup-dev:
	@scripts/setup dev

demo: setup ## the whole system on a simulated world, incident included
	@.venv/bin/clicktrace demo $(ARGS)

test: setup-dev ## all tests, with real servers (under 15 minutes)
	@scripts/test-tools
	$(PY) -m pytest -m "not long" -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

quick: setup-dev ## the inner loop: what needs seconds, not minutes
	$(PY) -m pytest -m "not long and not slow" -n 2 --dist loadfile -x $(ARGS)

test-long: setup-dev ## PART=loop|redirect|…: what needs longer; writes docs/evidence/
	@scripts/test-tools
	$(PY) -m tests.long $(PART) $(ARGS)

check: setup-dev ## format, lint, types, import borders, documents, generated files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m grafana.build --check
	$(PY) -m app.reference --check
	$(PY) -m pytest -q tests/test_architecture.py tests/test_docs.py

generate: setup-dev ## rebuild the files that are made from code
	$(PY) -m grafana.build
	$(PY) -m app.reference

bench: setup-dev ## the redirect beside nginx, the ingest beside the bare engine
	@scripts/test-tools
	.venv/bin/clicktrace bench redirect
	.venv/bin/clicktrace bench ingest

lock: setup-dev ## renew requirements/*.lock from pyproject.toml (needs uv on the PATH)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml requirements/runtime.in -o requirements/runtime.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml requirements/runtime.in -c requirements/runtime.lock -o requirements/dev.lock

clean: ## remove the environment and the demo's data
	rm -rf .venv demo-data *.egg-info .mypy_cache .ruff_cache
