# gridpatrol: every command that a newcomer needs. `make` alone lists them.
# Needs make and a Python from 3.11 on; all else comes from the package registry into .venv.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run replay cluster check test drill chaos-cluster bench bench-growth bench-cluster \
  bench-console screenshots pictures fresh vendor clean

BIN := .venv/bin
# Some machines are told to keep no bytecode. Here hundreds of processes start, and each would compile all of the code.
unexport PYTHONDONTWRITEBYTECODE
# Three test processes keep two cores busy: each waits for servers a third of its time. More cores take more.
WORKERS ?= 3
# A file at a time, since its tests share fixtures; in the order of setup.cfg, so that the longest come first.
SPREAD := --dist loadfile --no-loadscope-reorder
# The longest drills start first, so that no process is left alone with one of them at the end; short ones come last.
LONGEST := $(patsubst %,tests/drill/test_%.py,chaos city_streams stream_workers recipes growing_up alarms rebalances \
  bench_cluster cluster_roles city_figures every_operation bench cli_serve cluster_all worker_outages cluster_command \
  secured_cluster telling_killed console_browser)
DRILLS := $(LONGEST) $(filter-out $(LONGEST),$(wildcard tests/drill/test_*.py))
# Properties only compute: one process a core, each taking the next test wherever it stands.
CORES := $(shell nproc 2>/dev/null || echo 2)
PROPERTIES = $(shell grep -rl '^@given' tests --include='test_*.py')

help: ## list these targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

setup: .venv/ready ## create .venv and install gridpatrol with what its tests need

run: setup ## run the demo with the Weiyang pack; Ctrl-C stops it, the next run goes on
	@$(BIN)/gridpatrol demo run

replay: setup ## replay seven weeks of a real city and show what the engine makes of them
	@$(BIN)/gridpatrol demo city

cluster: setup ## run the distributed form on this machine: Kafka, PostgreSQL, five roles, demo traffic; no Docker
	@$(BIN)/python -m lab.cluster

# What the code may import, name and measure. The rest of the gates needs more time and runs in `make test`: what pages
# say, recipes, the wheel.
HOUSE := tests/unit/test_house.py tests/unit/test_house_figures.py tests/unit/test_house_imports.py \
  tests/unit/test_house_names.py tests/unit/test_names.py

check: setup ## ruff, mypy and the tests of the house's shape
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy & types=$$!; $(BIN)/pytest -q $(HOUSE); shape=$$?; wait $$types && exit $$shape

test: check ## check, then every test but the drills, on SQLite, PostgreSQL and Kafka (eight minutes)
	@$(BIN)/pytest -q -n $(WORKERS) $(SPREAD) $(HOUSE:%=--ignore=%)

drill: setup ## whole installations that are killed, cut off, secured, moved and measured; properties with more examples
	@$(BIN)/pytest -q -n $(WORKERS) $(SPREAD) $(DRILLS); status=$$?; \
	$(BIN)/pytest -q -n $(CORES) --dist worksteal --hypothesis-profile deep -m hypothesis $(PROPERTIES) && exit $$status

chaos-cluster: setup ## break a whole installation for SECONDS (120) with SEED (random), then judge it; BROKERS is 1 or 3
	@$(BIN)/python -m lab.chaos.run --seconds $(or $(SECONDS),120) --brokers $(or $(BROKERS),1) \
	  $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

bench: setup ## what an event costs and how long it takes, on both databases, as JSON (a quarter of an hour)
	@$(BIN)/gridpatrol bench --json

bench-growth: setup ## what an event costs beside ten million waiting cases, as JSON (half an hour, 25 GB of disk)
	@$(BIN)/gridpatrol bench --only growth --json

bench-cluster: setup ## the same for Kafka, PostgreSQL and the roles, with latency and recovery, as JSON (seven minutes)
	@$(BIN)/gridpatrol bench --cluster --json

bench-console: setup ## how long the desk takes beside OPEN (1000000) open cases and RATE (500) events a second, as JSON
	@$(BIN)/python -m lab.bench.console --open $(or $(OPEN),1000000) --rate $(or $(RATE),500) \
	  --seconds $(or $(SECONDS),60) --database $(or $(DATABASE),sqlite)

screenshots: setup ## write the pictures of the README anew, from the demo in Chromium (two minutes)
	@$(BIN)/python -m lab.screenshots

pictures: setup ## write a picture of every page into DIR (pictures), in both languages and widths, and judge each
	@mkdir -p $(or $(DIR),pictures)
	@GRIDPATROL_SCREENSHOTS=$(abspath $(or $(DIR),pictures)) $(BIN)/pytest -q -n 0 -k every_page \
	  tests/drill/test_console_browser.py tests/drill/test_console_pages.py tests/drill/test_member_browser.py

fresh: setup ## write generated files anew
	@$(BIN)/gridpatrol schema --write
	@$(BIN)/python -m gridpatrol.render.readme

vendor: setup ## write the console's scripts anew from the npm registry, by their pinned digests
	@$(BIN)/python -m lab.vendored

clean: ## remove .venv and caches; stored data in var/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp makes the second `make setup` instant; a changed pin makes it install again.
.venv/ready: setup.cfg pyproject.toml
	@$(find_python); $(make_venv)
	@echo "Installing gridpatrol and its libraries into .venv (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cluster,test]' || { \
	  echo "Installing failed, see above. gridpatrol needs the Python package registry (https://pypi.org)" >&2; \
	  echo "or a mirror of it: set PIP_INDEX_URL, then run make again." >&2; exit 1; }
	@touch $@

# Candidates are run, not only found: a version manager leaves commands behind that answer with an error.
# Debian and Ubuntu ship Python without venv, so an interpreter counts only if it can make one.
define find_python
old=; bare=; found=; \
for candidate in python3.11 python3.12 python3.13 python3.14 python3; do \
  $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
    old="$$old $$($$candidate --version 2>/dev/null)"; continue; }; \
  $$candidate -c 'import venv, ensurepip' 2>/dev/null || { bare=$$candidate; continue; }; \
  found=$$candidate; break; \
done; \
if [ -z "$$found" ] && [ -n "$$bare" ]; then \
  echo "$$bare cannot make virtual environments. Install its venv module, then run make again:" >&2; \
  echo "  on Debian or Ubuntu:  apt install $$($$bare -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; \
elif [ -z "$$found" ]; then \
  echo "gridpatrol needs Python 3.11, 3.12, 3.13 or 3.14; found: $$(echo $${old:-none})." >&2; \
  echo "Install one (https://www.python.org/downloads/ or your system's packages), then run make again." >&2; exit 1; \
fi
endef

# A .venv that no longer runs (its Python was removed, the folder was moved) is made anew.
define make_venv
$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && $(BIN)/python -m pip --version >/dev/null 2>&1 \
  || $$found -m venv --clear .venv
endef
