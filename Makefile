# Every command of this project; `make help` lists them.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# compiled code lives in .local like everything temporary, so it may be written
export PYTHONPYCACHEPREFIX := $(CURDIR)/.local/pycache
unexport PYTHONDONTWRITEBYTECODE
export UV_CACHE_DIR ?= $(CURDIR)/.local/uv-cache
export TMPDIR := $(CURDIR)/.local/tmp

# AIRFLOW=next: another environment, with the newest pre-release of Airflow; oldest: with the oldest that is allowed
AIRFLOW ?=
ifneq ($(filter-out next oldest,$(AIRFLOW)),)
$(error AIRFLOW=$(AIRFLOW): there is no such environment; write AIRFLOW=next or AIRFLOW=oldest, or nothing for the pinned Airflow)
endif
export AIRFLOW
VENV := $(if $(AIRFLOW),.local/$(AIRFLOW),.venv)
PYTHON := $(VENV)/bin/python
PYTHONCODE := include/sluiceway include/config dags plugins dev tests bench docs
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --system-certs
TESTS ?= tests
ARGS ?=
TABLES ?=
EXECUTOR ?=
WORKERS ?=
NAME ?=
N ?= 450000
MINUTES ?= 5
SECONDS ?= 600
SEED ?= 14
TARGET ?=
BUILD_ID ?=
TAG ?=

.PHONY: help setup up down status workers worker-stop airflow demo test lint audit docs lock histories files soak fuzz chaos bench-master bench-load bench-narrow bench-trigger bench-race bench-blind bench-sensor bench-watch bench-idle bench-jobs bench-workers bench-scale bench-freshness bench-publish bench-encodings package release clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install everything into .venv, and PostgreSQL with PostGIS if it is missing
	@dev/setup

up: setup ## Start PostgreSQL and Airflow here, in the background; EXECUTOR=celery WORKERS=3: with Redis and workers
	@EXECUTOR="$(EXECUTOR)" WORKERS="$(WORKERS)" $(PYTHON) -m dev.stack up

down: ## Stop them
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m dev.stack down; fi

status: setup ## Say whether they run
	@$(PYTHON) -m dev.stack status

workers: setup ## Have so many workers, while runs go on: make workers N=5
	@$(PYTHON) -m dev.workers scale "$(if $(filter-out file,$(origin N)),$(N))"

worker-stop: setup ## Drain a worker, which ends its tasks first: make worker-stop NAME=worker-2
	@$(PYTHON) -m dev.workers stop "$(NAME)"

airflow: setup ## Run Airflow's command line on the stack: make airflow ARGS="dags list"
	@$(PYTHON) -m dev.stack airflow $(ARGS)

demo: setup ## Show the whole way of one deploy; TABLES="a b" picks the tables, EXECUTOR=celery has workers do it
	@TABLES="$(TABLES)" EXECUTOR="$(EXECUTOR)" WORKERS="$(WORKERS)" $(PYTHON) -m dev.demo

test: setup ## Run the tests; TESTS=path picks some, ARGS="-k word" goes to pytest, AIRFLOW=next or oldest takes another version
	@$(PYTHON) -m dev.browser
	@$(PYTHON) -m pytest $(if $(filter tests,$(TESTS)),-n 3 --dist loadscope --no-loadscope-reorder) $(TESTS) $(ARGS)

lint: setup ## Check style, types, config, workflows, the Dockerfile and the docs; changes nothing
	$(PYTHON) -m ruff check $(PYTHONCODE)
	$(PYTHON) -m ruff format --check $(PYTHONCODE)
	$(PYTHON) -m mypy include/sluiceway include/config/transforms include/config/jobs dev bench
	$(VENV)/bin/lint-imports --cache-dir .local/importlinter
	$(VENV)/bin/sluiceway tables check
	$(VENV)/bin/sluiceway tables fmt --check --diff
	$(VENV)/bin/sluiceway triggers check
	$(VENV)/bin/sluiceway jobs check
	$(VENV)/bin/zizmor --offline --quiet --persona auditor .github
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(VENV)/bin/hadolint Dockerfile
	@$(MAKE) docs

audit: setup ## Ask the package registry which of the pinned versions have a known hole; needs the network
	@for lock in requirements.lock requirements-dev.lock; do $(VENV)/bin/pip-audit --strict --disable-pip --progress-spinner off -r $$lock || exit 1; done

docs: setup ## Build the site of docs/ into .local/docs; a link to nowhere is an error
	@rm -rf .local/docs
	$(VENV)/bin/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going --nitpicky --doctree-dir .local/doctrees docs .local/docs

lock: setup ## Pin the newest versions the requirements allow
	$(LOCK) --upgrade -o requirements.lock requirements.txt
	$(LOCK) --upgrade --no-deps -o requirements-demo.lock requirements-demo.txt
	$(LOCK) --upgrade -c requirements.lock -o requirements-dev.lock requirements-dev.txt
	@awk '/^[a-z]/ && !/^apache-airflow/ {sub(/ \\$$/, ""); print}' requirements.lock requirements-dev.lock > .local/tmp/others.txt
	$(LOCK) --no-annotate -c .local/tmp/others.txt --override requirements-next.txt --prerelease if-necessary-or-explicit \
		-o requirements-next.lock requirements.txt requirements-dev.txt
	$(LOCK) --no-deps --no-annotate -o dev/airflow-oldest.lock dev/airflow-oldest.txt

histories: setup ## Live N random lives of runs on a real Airflow and check what is said of them: make histories N=60 SEED=7
	@HISTORIES=$(if $(filter-out file,$(origin N)),$(N),60) SEED=$(SEED) $(PYTHON) -m pytest tests/integration/master/test_histories.py \
		-o timeout=14400 -o log_file=.local/histories.log -o log_file_level=INFO $(ARGS)

files: setup ## Put N files into a watched folder within a minute and await as many runs: make files N=1000
	@FILES=$(if $(filter-out file,$(origin N)),$(N),1000) $(PYTHON) -m pytest tests/integration/sensors/flows/test_flows.py \
		-o timeout=3600 -k many_files $(ARGS)

soak: setup ## Run many flows at once beside deploys, retries and clears: make soak MINUTES=5 SEED=7
	@$(PYTHON) -m tests.integration.soak --minutes $(MINUTES) --seed $(SEED)

fuzz: setup ## Feed hostile inputs to all that reads what others write: make fuzz SECONDS=600 SEED=7 ARGS="--only csv wkb"
	@$(PYTHON) -m tests.fuzz --seconds $(if $(filter-out file,$(origin SECONDS)),$(SECONDS),600) $(if $(filter-out file,$(origin SEED)),--seed $(SEED)) $(ARGS)

chaos: setup ## Kill, cut and fill what a run on Celery stands on: make chaos N=1 SEED=7 ARGS="--only worker redis"
	@$(PYTHON) -m tests.integration.chaos --times $(if $(filter-out file,$(origin N)),$(N),1) --seed $(SEED) $(ARGS)

bench-master: setup ## Measure the master DAG
	@$(PYTHON) -m bench.master $(ARGS)

bench-load: setup ## Measure the load engine against ogr2ogr, shp2pgsql and geopandas: make bench-load N=450000
	@$(PYTHON) -m bench.load --rows $(N) $(ARGS)

bench-narrow: setup ## Measure a load of 5,000,000 narrow rows
	@$(PYTHON) -m bench.narrow $(ARGS)

bench-race: setup ## Deploy 50 commits while CI and the watch race for each
	@$(PYTHON) -m bench.race $(ARGS)

bench-blind: setup ## Watch a dead, a slow and a wrong endpoint for an hour
	@$(PYTHON) -m bench.blind $(ARGS)

bench-trigger: setup ## Measure what one call of the trigger costs
	@$(PYTHON) -m bench.trigger $(ARGS)

bench-sensor: setup ## Measure what a look of the database sensor costs with 10,000,000 rows
	@$(PYTHON) -m bench.database_sensor $(ARGS)

bench-watch: setup ## Measure what 200 triggers cost one triggerer
	@$(PYTHON) -m bench.watch $(ARGS)

bench-idle: setup ## Measure what the local stack costs at rest, process by process
	@$(PYTHON) -m bench.idle $(ARGS)

bench-jobs: setup ## Measure items of jobs a second, beside two other queues in PostgreSQL, and connections
	@$(PYTHON) -m bench.jobs $(ARGS)

bench-workers: setup ## Measure twenty tables that sleep, on one, two and three Celery workers
	@$(PYTHON) -m bench.workers $(ARGS)

bench-scale: setup ## Measure 20, 200 and 1,000 tables against a bare DAG of the same graph
	@$(PYTHON) -m bench.scale $(ARGS)

bench-freshness: setup ## Measure page, status.json and metrics with 1,000 tables and 200 runs of history
	@$(PYTHON) -m bench.freshness $(ARGS)

bench-publish: setup ## Measure what 20 readers notice while 30 runs publish
	@$(PYTHON) -m bench.publish $(ARGS)

bench-encodings: setup ## Measure how often the encoding of a text is found, in 29 encodings
	@$(PYTHON) -m bench.encodings $(ARGS)

release: setup ## Build what a tag publishes into dist/release, and publish nothing: make release TAG=v0.1.0
	@$(PYTHON) -m dev.release "$(TAG)"

package: setup ## Build what a deployment ships into dist/: make package TARGET=composer|astro|wheel BUILD_ID=...
	@$(PYTHON) -m dev.package --build-id "$(BUILD_ID)" "$(TARGET)"

clean: down ## Stop the stack and remove .venv and .local, data included
	@rm -rf .venv .local
