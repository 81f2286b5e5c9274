# Everything works right after a clone on Debian 12, as root or with sudo; nothing is done twice.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Where Python may not write bytecode, each process of the tests compiles all of them anew: 2.4 s of 4.8 each, twice three times.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
IMAGE ?=
PYTEST_ARGS ?=
TESTS := $(BIN)/python -m pytest --dist loadgroup -m "not long"
# Two sittings: each process imports and keeps all that it may run, some 400 MB for all tests together.
ENGINE := tests/catalog tests/contracts tests/storage
# what pytest ends with where nothing was chosen
NONE := 5

.PHONY: help env env-test demo demo-golden test test-long lint generate format docs bench serve clean

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

env:             ## install what the main job needs (apt packages, locked Python environment)
	@bash deployments/setup/packages.sh run
	@bash deployments/setup/environment.sh

env-test: env    ## install what the tests need besides: real services, browsers, peers
	@bash deployments/setup/packages.sh test
	@bash deployments/setup/oidc_provider.sh

demo: env        ## add a real bootable image through Prefect, list, export, verify it (IMAGE=<url or file> for your own)
	@bash deployments/setup/packages.sh demo
	@$(BIN)/python -m tests.demo $(IMAGE)

demo-golden: env ## a publisher on loopback, followed: good builds become the latest, bad ones stay with their reasons; minutes
	@bash deployments/setup/packages.sh test
	@$(BIN)/python -m tests.demo_golden

test: env-test   ## all tests against real services; more processes than cores, since they mostly wait
	@failed=0; \
	$(TESTS) -n 5 $(ENGINE) $(PYTEST_ARGS) || [ $$? = $(NONE) ] || failed=1; \
	$(TESTS) -n 5 tests $(addprefix --ignore=,$(ENGINE)) $(PYTEST_ARGS) || [ $$? = $(NONE) ] || failed=1; \
	exit $$failed

test-long: env-test ## the tests that take minutes
	@$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

lint: env        ## ruff, mypy --strict, import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

generate: env    ## write what follows from the operations' rows: stubs, prefect.yaml, the table in flows/README.md
	@$(BIN)/python -m deployments.generate

format: env
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: env        ## docs/architecture.md, from the imports
	@$(BIN)/python -m tests.architecture

bench: env-test  ## side by side with md5sum, restic, borg, casync, zpaq: writes tests/performance/RESULTS.md
	@bash deployments/setup/packages.sh bench
	@$(BIN)/python -m tests.performance.bench

serve: env       ## Prefect server, worker and deployments on loopback
	@$(BIN)/imagewright serve

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
