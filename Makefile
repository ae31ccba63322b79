# pytest-scf-async. `make help` lists what there is. Every target sets up what it needs by itself, in $(VENV).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# More processes than cores, as many tests wait for something.
WORKERS ?= -n $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN) / 2))) --dist worksteal
TIMES ?= 200
EVENTS ?= 20000
RUNS ?= 50
KILLS ?= 170
SEEDS ?= 108
PROGRAMS ?= 200
REQUESTS ?= 100000
EXTRA ?= dev
TAG ?=
TESTS ?=
OUT ?=
PARTS ?=
ROWS ?=
REPROS ?=
LEG ?= --list
# What mypy is told besides: CI has it check the code as the oldest Python would.
TYPES_OF ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(EXTRA)
NODE_CLIENTS := $(VENV)/node/.installed
# CI installs with uv (UV=command), in a fifth of pip's processor time.
UV ?=
ifeq ($(UV),)
MAKE_VENV = $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
INSTALL = $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
else
MAKE_VENV = [ -x $(BIN)/python ] || $(UV) venv --quiet --no-project --python $(PYTHON) $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python
endif

.DEFAULT_GOAL := help
.PHONY: help venv demo examples test test-all take-apart libraries clients wire check docs options messages states pictures format repeat runs kills survival windows repairs differential timed soak fuzz wheel release-check bench ci-leg clean

help: ## this list
	@echo "make TARGET [PYTHON=python3] [VENV=.venv] [ARGS='what pytest gets']"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while read -r name text; do printf '  %-13s %s\n' "$$name" "$$text"; done

venv: $(STAMP) ## the virtual environment with the project (editable) and its tools

$(VENV)/.installed-%: pyproject.toml
	@refuse() { echo "make: '$(PYTHON)' $$1" >&2; exit 1; }; \
	other="say make PYTHON=/path/to/python3 to use another"; \
	$(PYTHON) -c '' 2>/dev/null || refuse "does not run here: install Python 3.10 or newer ($$other)"; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  refuse "is $$($(PYTHON) -V 2>&1), and Python 3.10 or newer is needed ($$other)"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  refuse "has no venv module: on Debian and Ubuntu, apt-get install python3-venv ($$other)"; \
	echo "setting up $(VENV) with $$($(PYTHON) -V 2>&1)"
	@$(MAKE_VENV)
	@$(INSTALL) --editable '.[$*]'
	@touch $@

# What is there does, as the demo waits for nobody's checkers.
demo: $(or $(wildcard $(STAMP)),$(VENV)/.installed-sdk) ## what the project is, in half a minute: scenes in the terminal, with their real and simulated times
	@$(BIN)/python examples/demo/demo.py

examples: $(STAMP) ## the examples, test by test
	@start=$$(date +%s%N); \
	  $(BIN)/python -m pytest examples -v -m 'not npm' $(ARGS) || exit; \
	  echo "examples: not npm (make wire runs what needs npm)"; \
	  ms=$$(( ($$(date +%s%N) - start) / 1000000 )); \
	  printf 'examples: all of the above took %d.%d real seconds, pytest included\n' $$((ms / 1000)) $$((ms % 1000 / 100))

test: $(STAMP) ## tests and examples on all cores, without the long searches (ARGS='-k name'; WORKERS= for one process)
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-all: $(STAMP) ## all tests and examples; without ARGS also `make take-apart`, which takes longer than they do
	@$(BIN)/python -m pytest $(WORKERS) --long $(ARGS)
	@$(if $(ARGS),,$(BIN)/python tools/take_apart.py --all)

take-apart: $(STAMP) ## takes each wing and each feature out of a copy of the tree, and tests the rest (PARTS='sweep memory' for some)
	@$(BIN)/python tools/take_apart.py $(or $(PARTS),--all)

check: $(STAMP) ## ruff, format, mypy --strict, import directions, runtimes, owners, patches, facts, the kernel's size, what follows from the table of options, pages in Chinese
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(TYPES_OF) pytest_scf_async benchmarks
	@$(BIN)/python tools/check_imports.py
	@$(BIN)/python tools/check_wings.py
	@$(BIN)/python tools/check_runtimes.py
	@$(BIN)/python tools/check_slots.py
	@$(BIN)/python tools/check_ownership.py
	@$(BIN)/python tools/check_properties.py
	@$(BIN)/python tools/check_flags.py
	@$(BIN)/python tools/check_waits.py
	@$(BIN)/python tools/check_patches.py
	@$(BIN)/python tools/check_facts.py
	@$(BIN)/python tools/take_apart.py --all --imports
	@$(BIN)/python tools/count_code.py
	@$(BIN)/python tools/write_options.py --check
	@$(BIN)/python tools/write_messages.py --check
	@$(BIN)/python tools/draw_states.py --check
	@$(BIN)/python tools/compare_translations.py

docs: $(VENV)/.installed-docs ## the site, in build/docs; a warning or a link between pages that leads nowhere is an error
	@$(BIN)/python -m sphinx -q -W --keep-going docs build/docs

options: $(STAMP) ## writes what follows from the table in pytest_scf_async/options.py: signatures, fields, pages
	@$(BIN)/python tools/write_options.py

messages: $(STAMP) ## writes the messages of the package, from its sources, into docs/troubleshooting.md, also in Chinese
	@$(BIN)/python tools/write_messages.py

states: $(STAMP) ## draws what an instance does in docs/architecture.md, from the table in instances/state.py
	@$(BIN)/python tools/draw_states.py

pictures: $(STAMP) ## draws docs/trace.png, the trace in the README, with Chromium
	@$(BIN)/python tools/draw_pictures.py $(ARGS)

format: $(STAMP) ## ruff's formatter and its safe repairs
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

libraries: $(STAMP) ## pandas, numpy, gRPC and others in instances (installs them into $(VENV))
	@$(INSTALL) --editable '.[libraries]'
	@[ -d $(VENV)/pandas-2 ] || $(INSTALL) --no-deps --target $(VENV)/pandas-2 'pandas<3' pytz
	@$(BIN)/python -m pytest tests/libraries $(ARGS)

clients: $(STAMP) ## HTTP, Redis and database clients in instances (installs them into $(VENV))
	@$(INSTALL) --editable '.[clients]'
	@$(BIN)/python -m pytest tests/clients $(ARGS)

wire: $(STAMP) $(NODE_CLIENTS) ## the API's endpoint, the platform's own SDKs and tccli (installs them into $(VENV))
	@$(INSTALL) --editable '.[wire]'
	@[ -x $(VENV)/tccli/bin/tccli ] || PIP_NO_COMPILE=1 UV_COMPILE_BYTECODE=0 $(INSTALL) --target $(VENV)/tccli 'tccli>=3.1.189'
	@$(BIN)/python -m pytest tests/wire $$(npm --version >/dev/null 2>&1 && echo examples/endpoint_jest) $(ARGS)

$(NODE_CLIENTS): tests/wire/node/package.json tests/wire/node/package-lock.json | $(STAMP)
	@if npm --version >/dev/null 2>&1; then \
	  mkdir -p $(@D) && cp $^ $(@D) && npm ci --prefix $(@D) --silent --ignore-scripts --no-audit --no-fund && touch $@; \
	else echo "wire: without the clients in Node.js, for want of npm (Debian and Ubuntu: apt-get install nodejs npm)"; fi

repeat: $(STAMP) ## the tests marked `repeat`, 200 times (TIMES=...), with every core loaded (LOAD=no: not by it)
	@$(BIN)/python tools/repeat.py --times $(TIMES) $(if $(filter no,$(LOAD)),,--load)

runs: $(STAMP) ## runs of handlers and of programs in each language, 50 of each (RUNS=...), which are the same
	@SCF_RUNS=$(RUNS) $(BIN)/python -m pytest -q tests/kernel/scheduler/test_repeatable_runs.py tests/programs/supervisor/test_runs_of_programs.py tests/programs/supervisor/test_connections_of_programs.py tests/programs/supervisor/test_waits_for_others_of_programs.py $(ARGS)

kills: $(STAMP) ## 1,000 SIGKILLs over all processes of ours, and as many Ctrl-C (KILLS=... of each kind): nothing is left; 300 of each program whose effects are recorded; and 100 of each job, and as many SIGTERMs of jobs that do not listen
	@SCF_KILLS=300 $(BIN)/python -m pytest -q --timeout=0 tests/sweep/test_every_kill_is_recorded.py tests/sweep/test_kills_from_record.py $(ARGS)
	@SCF_KILLS=100 $(BIN)/python -m pytest -q --timeout=0 tests/sweep/bare/test_jobs_against_bare.py tests/sweep/bare/test_sigterms_against_bare.py $(ARGS)
	@SCF_KILLS=$(KILLS) $(BIN)/python -m pytest -q --timeout=0 tests/kernel/instances/test_kills.py tests/kernel/instances/test_interrupted_calls.py tests/plugin/test_nothing_left.py $(ARGS)

survival: $(STAMP) ## sweeps the ways to keep state of examples/survival into docs/survival.md (ROWS=sqlite3 for some); with KILLS=30 it kills bare processes instead, and compares
	@$(BIN)/python tools/survival.py $(if $(ROWS),--rows $(ROWS)) $(if $(REPROS),--repros $(REPROS)) $(if $(filter command,$(firstword $(origin KILLS))),--kills $(KILLS)) $(ARGS)

windows: $(STAMP) ## searches the windows of the seeded set again, which is due when a handler there or the model has changed
	@$(BIN)/python tests/sweep/search_windows.py

repairs: $(STAMP) ## repairs each bug of the seeded set, and makes 300 random kills of each bug, repair and fixed twin
	@SCF_REPAIRS=300 $(BIN)/python -m pytest -q $(WORKERS) --timeout=0 tests/sweep/test_repairs_of_seeded.py $(ARGS)

differential: $(STAMP) ## 108 random handlers (SEEDS=...): the sweep's verdicts are what bare processes come to
	@SCF_SEEDS=$(SEEDS) $(BIN)/python -m pytest -q $(WORKERS) --timeout=0 tests/sweep/bare/test_against_bare_processes.py $(ARGS)

timed: $(STAMP) ## 200 random programs of waits (PROGRAMS=...), without signals and with some, alone and with data of a server, as handlers, as programs, and as bare processes that are timed
	@SCF_TIMED=$(PROGRAMS) $(BIN)/python -m pytest -q $(WORKERS) --timeout=0 tests/kernel/time/test_against_timed_processes.py tests/programs/supervisor/test_programs_against_timed_processes.py $(ARGS)

fuzz: $(STAMP) ## 100,000 requests (REQUESTS=...) that are nearly valid, to the endpoint and over its connections: each is answered
	@SCF_FUZZ=$$(($(REQUESTS) / 3 + 1)) $(BIN)/python -m pytest -q --timeout=0 tests/endpoint/test_endpoint_fuzz.py $(ARGS)

soak: $(STAMP) ## 20,000 events (EVENTS=...), after which neither memory nor descriptors have grown
	@SCF_SOAK=$(EVENTS) $(BIN)/python -m pytest -q tests/kernel/instances/test_soak.py $(ARGS)

wheel: $(STAMP) ## the wheel, installed in clean environments, passes the examples (NEWEST=python OLDEST=python ONLY=newest)
	@$(BIN)/python tools/try_wheel.py $(if $(NEWEST),--newest $(NEWEST)) $(if $(OLDEST),--oldest $(OLDEST)) $(if $(ONLY),--only $(ONLY))

release-check: $(STAMP) ## what would be released: metadata, types, the same wheel of the sdist, and tests on it without the sources (TAG=v1.2.3 TESTS=examples OUT=dist NEWEST=python)
	@$(BIN)/python tools/release_check.py $(if $(TAG),--tag $(TAG)) $(if $(TESTS),--tests $(TESTS)) $(if $(OUT),--out $(OUT)) $(if $(NEWEST),--newest $(NEWEST)) -- $(ARGS)

bench: $(STAMP) ## each figure beside its floor
	@$(BIN)/python -m benchmarks $(ARGS)

ci-leg: ## one leg of CI (LEG=oldest-3.10); without LEG, the list of them
	@.ci/run $(LEG)

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
