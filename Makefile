# Everything a person or a CI runs. Needs python3 (3.11 or newer), make and a package registry, nothing else:
# the first target that is asked for makes .venv and installs into it what constraints.txt pins.

PYTHON ?= python3
BIN := .venv/bin
# One more than there are processors: tests wait for processes that they start.
PYTEST := $(BIN)/pytest -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# Run once more under asyncio's debug mode, which reports what is never awaited, never closed, or too slow.
DEBUGGED ?= $(wildcard tests/net tests/test_admin.py tests/test_daemon.py tests/test_recorder.py)

.DEFAULT_GOAL := test
.PHONY: demo test test-debug test-readme lint bench bench-quick bench-scale bench-stages ci ci-clients clean

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is not Python 3.11 or newer: choose another, as in  make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) cannot make a virtual environment: it lacks ensurepip. Debian and Ubuntu keep it in" >&2; \
	      echo "the package python3-venv; or choose another Python, as in  make PYTHON=/opt/python/bin/python3" >&2; \
	      exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt --group lint --group test -e .
	@touch $@

.venv/.bench: .venv/.installed benchmarks/package.json
	$(BIN)/python -m pip install --quiet -c constraints.txt --group bench
	$(BIN)/python -m benchmarks.packages
	@touch $@

demo: .venv/.installed
	$(BIN)/python configs/demo.py

# Some tests need packages for Node. Without npm they are skipped, and say so.
test: .venv/.installed
	$(BIN)/python -m tests.e2e.packages
	$(PYTEST)

test-debug: .venv/.installed
	PYTHONASYNCIODEBUG=1 $(PYTEST) $(DEBUGGED)

# The command that the README gives under "## Tests" must be one that works. `make test` has just run.
test-readme:
	@command="$$(sed -n '/^## Tests/,/^## [^T]/s/^    \([a-z].*\)/\1/p' README.md | head -n 1)"; \
	    case "$$command" in \
	    "make test"|"make test "*) echo "README: $$command" ;; \
	    "") echo "README.md has no indented command under '## Tests'" >&2; exit 1 ;; \
	    *) echo "README: $$command"; sh -ec "$$command" ;; \
	    esac

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Beside nginx and other mock servers; a look, the whole, and a million routes. Every round is kept as JSON.
bench-quick: .venv/.bench
	$(BIN)/python -m benchmarks.run --quick --json benchmarks/results/quick.json

bench: .venv/.bench
	$(BIN)/python -m benchmarks.run --json benchmarks/results/bench.json --svg benchmarks/results/bench.svg

bench-scale: .venv/.bench
	$(BIN)/python -m benchmarks.run --only scale --json benchmarks/results/scale.json

# Where a request's time goes. Another checkout beside this one: make bench-stages STAGES="--tree ../other"
bench-stages: .venv/.installed
	$(BIN)/python -m benchmarks.stages $(STAGES)

# What tests talk to and no package of Python or Node brings, on a machine that CI has for itself: clients of HTTP/2,
# and Redis and PostgreSQL in other versions than Python's packages have. Tests start those themselves; as services
# of the machine they are not started, which is what 101 says to those who install them.
POLICY := /usr/sbin/policy-rc.d
ci-clients:
	@wanted=; \
	{ command -v nghttp && command -v h2load; } >/dev/null || wanted="$$wanted nghttp2-client"; \
	command -v redis-server >/dev/null || wanted="$$wanted redis-server"; \
	command -v postgres >/dev/null || test -x "$$(pg_config --bindir 2>/dev/null)/postgres" \
	    || wanted="$$wanted postgresql"; \
	test -n "$$wanted" || exit 0; \
	test -e $(POLICY) || { trap 'rm -f $(POLICY)' EXIT; \
	    printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod 755 $(POLICY); }; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$wanted >/dev/null

# CI=true makes a skipped test a failed one: a test that never runs there protects nothing.
ci: ci-clients
	$(MAKE) lint
	CI=true $(MAKE) test
	CI=true $(MAKE) test-debug
	CI=true $(MAKE) test-readme

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
