# Needs Python 3.11 or newer with venv, and make. Everything else is installed into .tools and .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The interpreter of both virtual environments.
PYTHON ?= $(shell command -v python3.11 || command -v python3)

# The one place that names uv's version is required-version in pyproject.toml.
UV_REQUIREMENT = uv$(shell sed -n 's/^required-version = "\(.*\)"$$/\1/p' pyproject.toml)
UV := .tools/bin/uv
BIN := .venv/bin

# uv takes the interpreter it is given and the certificates that the machine trusts.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS ?= true

PROJECTS := pyproject.toml protos/pyproject.toml $(wildcard services/*/pyproject.toml)
# The protos of the newest release, which no change may break.
RELEASED_PROTOS = $(shell ls -d tests/releases/*/protos.binpb | sort -V | tail -n 1)
TOOLS_READY := .tools/.ready
VENV_READY := .venv/.ready
FUZZ_READY := .tools/fuzz/.ready
# python-ldap has no wheels: it is built where there are a compiler and these headers, for tests only.
LDAP_READY := .venv/.ldap-ready
CAN_BUILD_LDAP = $(and $(wildcard /usr/include/ldap.h),$(wildcard /usr/include/sasl/sasl.h),$(shell command -v cc))
# Many tests wait for processes: at least four workers keep two processors busy.
WORKERS := $(shell cores=$$(nproc); echo $$((cores > 4 ? cores : 4)))
# Tests of modules that start processes, search long or wait for real boards and networks.
NOT_IN_UNIT := tests/agent/board/emulator/test_cli.py tests/agent/board/test_board.py \
	tests/agent/test_app.py tests/agent/test_cli.py tests/contract/storage/test_books_model.py \
	tests/frontend/admin tests/frontend/loglines/test_process.py \
	tests/frontend/rpc/test_connection_abuse.py tests/frontend/rpc/test_response_limits.py \
	tests/frontend/storage/migrations tests/frontend/storage/test_database.py \
	tests/frontend/system/directory/test_connection.py tests/frontend/system/directory/test_ldap.py \
	tests/frontend/system/directory/test_ldap_389.py tests/frontend/usecases/test_leavers_openldap.py \
	tests/frontend/test_app.py tests/frontend/test_cli.py tests/frontend/test_start.py \
	tests/frontend/usecases/test_books.py

$(TOOLS_READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no python3 found; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: $(PYTHON) is older than Python 3.11" >&2; exit 1; }
	test -x .tools/bin/python || $(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check '$(UV_REQUIREMENT)'
	@touch $@

$(VENV_READY): $(TOOLS_READY) uv.lock $(PROJECTS)
	$(UV) sync --quiet --locked --all-groups --no-group fuzz --all-packages --python .tools/bin/python
	@touch $@

$(LDAP_READY): $(VENV_READY)
	$(UV) sync --quiet --locked --all-groups --no-group fuzz --all-packages --extra ldap \
		--python .tools/bin/python
	@touch $@

# The fuzzer's engine is large and runs on Linux only, so it has an environment of its own.
$(FUZZ_READY): $(TOOLS_READY) uv.lock $(PROJECTS)
	UV_PROJECT_ENVIRONMENT=.tools/fuzz $(UV) sync --quiet --locked --no-default-groups \
		--group fuzz --all-packages --python .tools/bin/python
	@touch $@

.PHONY: help
help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: setup
setup: $(VENV_READY) ## Install everything into .venv

.PHONY: setup-ldap
setup-ldap: $(LDAP_READY) ## Add python-ldap, which is compiled: needs libldap2-dev, libsasl2-dev, gcc, python3-dev

.PHONY: demo
demo: $(VENV_READY) ## Show what Drink does: frontend, three agents, emulated boards
	$(BIN)/python -m scripts.demo

.PHONY: run
run: $(VENV_READY) ## Start what the demo starts, without the show; keep its data in run/
	$(BIN)/python -m scripts.demo run

.PHONY: unit
unit: $(VENV_READY) ## Run the tests of single modules, those that are quick and need no PostgreSQL
	@# Without kept bytecode each worker would compile all tests again, for 20 seconds in all.
	PYTHONDONTWRITEBYTECODE= DRINK_TEST_POSTGRES=none HYPOTHESIS_PROFILE=unit $(BIN)/pytest -n $(WORKERS) --dist loadfile \
		$(addprefix --ignore=,$(NOT_IN_UNIT)) tests/frontend tests/agent tests/contract $(PYTEST)

.PHONY: test
test: $(VENV_READY) $(if $(CAN_BUILD_LDAP),$(LDAP_READY)) ## Run all tests; PYTEST="..." passes options, and then those on Docker are left out
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --ignore=tests/system $(or $(PYTEST),--ignore=tests/crash)
	$(if $(PYTEST),,$(BIN)/pytest -n $(WORKERS) tests/crash)
	$(if $(PYTEST),,$(MAKE) system)

.PHONY: system
system: $(VENV_READY) ## Run systems with Docker Compose, and break them; root, where no Docker runs
	$(BIN)/pytest tests/system $(PYTEST)

.PHONY: images
images: ## Build the images of the services, and drink-observability for compose.yaml
	docker build --file services/frontend/Dockerfile --tag drink-frontend .
	docker build --file services/machine_agent/Dockerfile --tag drink-machine-agent .
	docker build --file services/web/Dockerfile --tag drink-web .
	docker build --file deploy/observability/Dockerfile --tag drink-observability .

.PHONY: crash
crash: $(VENV_READY) ## Kill the services at every step, ROUNDS=20 times each, and at every pair of steps
	CRASH_ROUNDS=$(or $(ROUNDS),20) $(BIN)/pytest -n $(WORKERS) tests/crash $(PYTEST)

.PHONY: simulate
simulate: $(VENV_READY) ## Simulate SEEDS=1000 worlds with faults and hold every promise in each
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000)

.PHONY: soak
soak: $(VENV_READY) ## Break the real services for MINUTES=15 while they sell; SEED=N repeats
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),15) $(if $(SEED),--seed $(SEED))

.PHONY: siege
siege: $(VENV_READY) ## Attack a selling system in every way; SECONDS=20 for each, ATTACK="name name"
	$(BIN)/python -m tests.siege $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(foreach name,$(ATTACK),--attack $(name)) $(SIEGE)

.PHONY: fuzz
fuzz: $(FUZZ_READY) ## Look for bytes that a parser does not bear, SECONDS=60 for each
	.tools/fuzz/bin/python -m tests.fuzz $(or $(SECONDS),60)

.PHONY: bench
bench: $(VENV_READY) ## Measure everything against its reference and write docs/performance.md
	$(BIN)/python -m benchmarks --page $(BENCH)

.PHONY: bench-quick
bench-quick: $(VENV_READY) ## The same table, smaller, in two minutes
	$(BIN)/python -m benchmarks --quick $(BENCH)

.PHONY: bench-web
bench-web: $(VENV_READY) ## Measure the page: its size, its first second, what browsers cost; a minute
	$(BIN)/python -m benchmarks --quick web $(BENCH)

.PHONY: test-slow
test-slow: $(VENV_READY) $(if $(CAN_BUILD_LDAP),$(LDAP_READY)) ## Run the tests that take minutes, and show what they measure
	$(BIN)/pytest -m slow --capture=no $(PYTEST)

.PHONY: check
check: check-style check-types check-imports check-layout check-vendored check-docs check-protos check-lock ## Run every check that is not a test

.PHONY: check-style
check-style: $(VENV_READY)
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet

.PHONY: check-types
check-types: $(VENV_READY)
	$(BIN)/mypy --no-error-summary

.PHONY: check-imports
check-imports: $(VENV_READY)
	$(BIN)/lint-imports --no-logo

.PHONY: check-layout
check-layout: $(VENV_READY)
	$(BIN)/python scripts/check_layout.py

.PHONY: check-vendored
check-vendored: $(VENV_READY)
	$(BIN)/python scripts/check_vendored.py

.PHONY: check-docs
check-docs: $(VENV_READY)
	@$(BIN)/drink-frontend config reference | diff --unified docs/configuration.md - \
		&& $(BIN)/python scripts/agent_reference.py | diff --unified docs/agent-configuration.md - \
		&& $(BIN)/drink-web config reference | diff --unified docs/web-configuration.md - \
		&& $(BIN)/python -m scripts.metrics_page | diff --unified docs/metrics.md - \
		|| { echo "docs/ is not up to date, run \`make docs\`" >&2; exit 1; }
	$(BIN)/python scripts/proof_tables.py --check
	$(BIN)/python -m scripts.api_table --check

.PHONY: check-protos
check-protos: $(VENV_READY)
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/buf lint
	$(BIN)/buf breaking protos --against $(RELEASED_PROTOS)
	$(BIN)/python scripts/gen_protos.py --check

.PHONY: check-lock
check-lock: $(TOOLS_READY)
	$(UV) lock --quiet --check --python .tools/bin/python

.PHONY: fmt
fmt: $(VENV_READY) ## Format Python and protos, mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format --quiet
	$(BIN)/buf format --write protos

.PHONY: proto
proto: $(VENV_READY) ## Generate the Python stubs of protos/ again
	$(BIN)/python scripts/gen_protos.py

.PHONY: protos-archive
protos-archive: $(VENV_READY) ## Pack the protos for clients in other languages into dist/
	$(BIN)/python -m scripts.export_protos

.PHONY: docs
docs: $(VENV_READY) ## Write the generated pages of docs/ again
	$(BIN)/drink-frontend config reference > docs/configuration.md
	$(BIN)/python scripts/proof_tables.py
	$(BIN)/python -m scripts.api_table
	$(BIN)/python scripts/agent_reference.py > docs/agent-configuration.md
	$(BIN)/drink-web config reference > docs/web-configuration.md
	$(BIN)/python -m scripts.metrics_page > docs/metrics.md

.PHONY: pictures
pictures: $(VENV_READY) ## Draw the pictures of the page and of drink again; needs Chromium and tmux
	$(BIN)/python -m scripts.pictures
	$(BIN)/python -m scripts.terminal_pictures

.PHONY: release
release: $(VENV_READY) protos-archive ## Build all wheels into dist/ and try them in empty environments
	$(BIN)/python -m scripts.release

.PHONY: clean
clean: ## Remove what make made; keep run/
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find protos services scripts benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
