# pytest-scf-async. `make help` lists what there is. Every target sets up what it needs by itself, in $(VENV).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
TIMES ?= 200

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help venv demo test check format repeat wheel bench clean

help: ## this list
	@echo "make TARGET [PYTHON=python3] [VENV=.venv] [ARGS='what pytest gets']"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1 \2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while read -r name text; do printf '  %-8s %s\n' "$$name" "$$text"; done

venv: $(STAMP) ## the virtual environment with the project (editable) and its tools

$(STAMP): pyproject.toml
	@refuse() { echo "make: '$(PYTHON)' $$1" >&2; exit 1; }; \
	other="say make PYTHON=/path/to/python3 to use another"; \
	$(PYTHON) -c '' 2>/dev/null || refuse "does not run here: install Python 3.10 or newer ($$other)"; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  refuse "is $$($(PYTHON) -V 2>&1), and Python 3.10 or newer is needed ($$other)"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  refuse "has no venv module: on Debian and Ubuntu, apt-get install python3-venv ($$other)"; \
	echo "setting up $(VENV) with $$($(PYTHON) -V 2>&1)"
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then :; else $(PYTHON) -m venv --clear $(VENV); fi
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the examples, test by test
	@start=$$(date +%s%N); \
	  if go version >/dev/null 2>&1; then set --; else set -- -m 'not go'; fi; \
	  $(BIN)/python -m pytest examples -v "$$@" $(ARGS) || exit; \
	  [ $$# -eq 0 ] || echo 'demo: without examples/go_shutdown, which needs Go (apt-get install golang-go)'; \
	  ms=$$(( ($$(date +%s%N) - start) / 1000000 )); \
	  printf 'demo: all of the above took %d.%d real seconds, pytest included\n' $$((ms / 1000)) $$((ms % 1000 / 100))

test: $(STAMP) ## all tests and examples (make test ARGS='-k name')
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## ruff, format, mypy --strict, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict pytest_scf_async
	@$(BIN)/python tools/check_imports.py

format: $(STAMP) ## ruff's formatter and its safe repairs
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

repeat: $(STAMP) ## the tests marked `repeat`, 200 times (TIMES=...), with every core loaded
	@$(BIN)/python tools/repeat.py --times $(TIMES) --load

wheel: $(STAMP) ## the wheel, installed in clean environments, passes the examples (NEWEST=python OLDEST=python)
	@$(BIN)/python tools/try_wheel.py $(if $(NEWEST),--newest $(NEWEST)) $(if $(OLDEST),--oldest $(OLDEST))

bench: $(STAMP) ## each figure beside its floor
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
