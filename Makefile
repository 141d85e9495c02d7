# Needs python3.11 with venv, and make. Everything else is set up in .venv/.

PYTHON ?= python3.11
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
LOCKS := requirements/uv.txt requirements/development.txt
HTML := templates
NODE_STAMP := functions/nodejs/node_modules/.ready

.PHONY: help demo setup functions node try-node translations test test-all lint format docs audit bench lock

help:  ## Shows this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup  ## Starts the portal with a stand-in for AWS and sample exports (PORT=8123 moves it)
	@exec $(BIN)/python -m sandbox.demo --port $(PORT)

setup: $(STAMP)  ## Makes .venv/ with everything that running and testing needs

# uv installs in a third of the time; where it cannot run, pip does the same from the same locks.
$(STAMP): $(LOCKS)
	$(PYTHON) -m venv $(VENV)
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r requirements/uv.txt \
	  && $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes \
	    requirements/development.txt; then :; \
	else echo "uv is not to be had here; going on with pip"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r requirements/development.txt; fi
	@touch $(STAMP)

functions:  ## Makes functions/dist/: zip files to deploy to Lambda, the same bytes each time
	@$(PYTHON) -m functions.package

translations: setup  ## Brings the catalogues in locale/ in step with the texts, and says what is open
	@$(BIN)/python -m translating

node: $(NODE_STAMP)  ## Builds what the handler for Node.js is tested with (a minute, once)

$(NODE_STAMP): functions/nodejs/package-lock.json functions/nodejs/build-runtime
	@PYTHON=$(abspath $(BIN))/python functions/nodejs/build-runtime

# Its tests skip by name where it cannot be built.
try-node: setup
	@$(MAKE) --no-print-directory node || echo "Going on without Node.js: its tests will skip."

# On all cores; each has its own database, stand-in for AWS and portals.
PYTEST := $(BIN)/python -m pytest --dist worksteal --durations 25 --numprocesses
# Half of a quick test is waiting: one more of them than there are cores keeps all of these busy.
QUICK := $(shell expr $$(nproc) + 1)

test: setup try-node  ## Runs the tests that take less than ten minutes in all
	$(PYTEST) $(QUICK) -m "not slow"

test-all: setup try-node  ## Runs all tests, also the slow ones (WHICH='-m slow': these alone)
	$(PYTEST) auto $(WHICH)

lint: setup  ## Checks style, types, imports, templates, migrations and locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-logo
	$(BIN)/djlint --lint $(HTML)
	$(BIN)/djade --check --target-version 5.2 $$(find $(HTML) -name '*.html')
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	@if command -v terraform >/dev/null; then \
	  TF_CLI_CONFIG_FILE=/dev/null terraform fmt -check -diff functions/templates/terraform; \
	else echo "terraform is not here: how its files are laid out is not checked"; fi
	@! grep -n '://' requirements/*.txt functions/nodejs/package-lock.json || { echo "a lock names an address"; exit 1; }

format: setup  ## Lays the code out as `make lint` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djade --target-version 5.2 $$(find $(HTML) -name "*.html")

# Environments of their own: neither the demo nor the tests need what builds the site or audits.
$(VENV)/%/.ready: requirements/%.txt | $(STAMP)
	$(PYTHON) -m venv --clear $(@D)
	@$(BIN)/uv pip sync --quiet --python $(@D)/bin/python --require-hashes $< 2>/dev/null \
	  || $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

docs: setup $(VENV)/docs/.ready  ## Builds the documentation's site into var/docs/ (open var/docs/index.html)
	$(BIN)/python -m docs.generate
	$(VENV)/docs/bin/sphinx-build --quiet --fail-on-warning --keep-going -c docs . var/docs

# Asks databases of vulnerabilities, so it needs the network, which CI has not.
audit: setup $(VENV)/audit/.ready  ## Asks PyPI and npm which locked packages have known faults
	npm audit --prefix functions/nodejs
	for lock in requirements/*.txt; do \
	  $(VENV)/audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement $$lock || exit 1; done

bench: setup  ## Measures the portal against its peers (some minutes; see bench/README.md)
	$(BIN)/python -m bench

lock: setup  ## Makes the locks in requirements/ anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	for name in production development; do \
	  groups=$$( [ $$name = development ] && echo "--group sandbox --group dev --group bench --extra otel" ); \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --upgrade \
	    pyproject.toml $$groups -o requirements/$$name.txt; done
	for name in docs audit; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --upgrade --group $$name -o requirements/$$name.txt; done
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --extra otel -c requirements/production.txt \
	  pyproject.toml -o requirements/otel.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --upgrade requirements/uv.in -o requirements/uv.txt
