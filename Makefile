SHELL := bash
.SHELLFLAGS := -o pipefail -c
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
# Nothing is written outside the checkout and CLEARWELL_HOME.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export GX_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: help setup spark lake warehouses demo up down test test-long test-spark test-spark-long test-lake lint bench
.DEFAULT_GOAL := help

help:  ## print the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready  ## virtual environment with the pinned, hashed requirements

PACKAGES = $(shell grep -c '==' requirements.txt)

$(VENV)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV): $(PACKAGES) packages, 1 GB, once; two minutes, or five on a busy machine"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --progress-bar off --no-cache-dir --no-deps --require-hashes -r requirements.txt \
		| awk '/^Collecting/ && ++n % 20 == 0 {print "  fetched " n " of $(PACKAGES)"; fflush()} \
			/^Installing/ {print "  installing them"; fflush()}'
	@$(BIN)/pip install --quiet --no-cache-dir --no-deps --no-build-isolation -e .
	@touch $@

spark: .venv-spark/.ready  ## Spark and dbt-spark, in an environment of their own

.venv-spark/.ready: requirements-spark.txt
	@test -x .venv-spark/bin/pip || $(PYTHON) -m venv .venv-spark
	@.venv-spark/bin/pip install --quiet --no-cache-dir --no-deps -r requirements-spark.txt
	@touch $@

lake: $(VENV)/.lake  ## DuckDB's extensions for a state in a lake

$(VENV)/.lake: requirements-lake.txt $(VENV)/.ready
	@$(BIN)/pip install --quiet --no-cache-dir --no-deps -r requirements-lake.txt
	@touch $@

# A server that speaks as S3 does.
.venv-s3/.ready: requirements-s3.txt
	@test -x .venv-s3/bin/pip || $(PYTHON) -m venv .venv-s3
	@.venv-s3/bin/pip install --quiet --no-cache-dir --no-deps -r requirements-s3.txt
	@touch $@

demo: setup  ## simulate three days of a shop and take them to gold through Airflow
	@$(BIN)/clearwell demo

up: setup  ## the same, and leave it running: Airflow's UI on loopback, the shop producing
	@$(BIN)/clearwell up

down: setup  ## stop what `make up` started
	@$(BIN)/clearwell down

test: setup  ## every test but the long ones
	@echo "Some twenty minutes on two quiet cores; the last column says how much is done"
	@$(BIN)/pytest -m "not long and not spark and not lake" -n 2 --dist loadfile --no-loadscope-reorder

test-long: setup  ## the tests that take minutes
	@echo "Some hours: 20 rounds of demo, up, down and crashes are one of them (CLEARWELL_ROUNDS=3 for fewer)"
	@HYPOTHESIS_PROFILE=explore $(BIN)/pytest -m "long and not spark and not lake" -n 2

# A fake of Snowflake, and ClickHouse in a process.
warehouses: .venv-snowflake/.ready .venv-clickhouse/.ready  ## for the tests of other warehouses' dialects

.venv-snowflake/.ready .venv-clickhouse/.ready: .venv-%/.ready: requirements-%.txt
	@test -x .venv-$*/bin/pip || $(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/pip install --quiet --no-cache-dir --no-deps -r requirements-$*.txt
	@touch $@

# A server of Spark's protocol without Java: see docs/engines.md.
.venv-sail/.ready: requirements-sail.txt
	@test -x .venv-sail/bin/pip || $(PYTHON) -m venv .venv-sail
	@.venv-sail/bin/pip install --quiet --no-cache-dir --no-deps -r requirements-sail.txt
	@touch $@

test-spark: setup spark .venv-sail/.ready .venv-s3/.ready  ## compare every table that Spark makes with DuckDB's, row by row, and kill Spark
	@SPARK_CONF_DIR=$(CURDIR)/tests/spark/conf $(BIN)/pytest -m "spark and not long" tests/spark

test-spark-long: setup spark  ## shops in any order on both engines, for some twenty minutes
	@SPARK_CONF_DIR=$(CURDIR)/tests/spark/conf HYPOTHESIS_PROFILE=explore $(BIN)/pytest -m "spark and long" tests/spark

test-lake: setup lake .venv-s3/.ready  ## a state in a lake: equal to a file row by row, three builders at once, kills, S3
	@$(BIN)/pytest -m lake -n 2 --dist loadfile tests/lake

lint: setup  ## ruff, mypy, sqlfluff, and that contracts keep their released versions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy ingestion warehouse operations control_room cli demo dags plugins
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models
	@$(BIN)/clearwell contracts check

bench: setup  ## measure landing, Clearwell beside a hand-written script, the cost of accounting, and dashboard queries
	@$(BIN)/python -m bench.landing
	@$(BIN)/python -m bench.run
	@$(BIN)/python -m bench.accounting
	@$(BIN)/python -m bench.dashboards
