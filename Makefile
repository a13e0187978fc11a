# Two commands matter on a fresh machine (Python >= 3.11, pip, git and make are enough): `make demo` and `make test`.
# Each brings what it needs; stamps inside the virtual environments keep later runs from installing again.

PYTHON ?= python3
VENV := .venv
VENV_PANDAS3 := .venv-pandas3

# The suite that runs unchanged on every engine, and what of it is worth running again under pandas 3: all of it on
# pandas, and on Spark where pandas objects pass between.
CONTRACT ?= tests/contract
PANDAS3_TESTS ?= not classic or test_types or test_freeze or test_functions or test_join_public
# Each benchmark is a package, run as a module.
BENCHMARKS ?= $(patsubst %/__main__.py,%,$(wildcard benchmarks/*/__main__.py))

# Where the code that people read lives.
SOURCES := dpframe tests $(wildcard benchmarks)

# Errors only: what pip fetches is many lines, and nobody reads them unless it fails.
PIP_FLAGS := -qq --disable-pip-version-check

# $(call with_java,DIR) heads a command line that may start Spark, with the tools of the environment DIR.
# - Java: the assignment stands alone, so that a missing one stops the recipe.
# - Spark starts its workers with the `python3` of the PATH unless told otherwise: it must be the same environment.
# - On the loopback address Spark comes up even where the machine's own name does not resolve.
with_java = JAVA_HOME="$$(scripts/ensure_java.sh)" && export JAVA_HOME && \
	PATH="$(CURDIR)/$(1)/bin:$$PATH" PYSPARK_PYTHON="$(CURDIR)/$(1)/bin/python" \
	SPARK_LOCAL_IP="$${SPARK_LOCAL_IP:-127.0.0.1}"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The steps of `make test` run one after another, the cheap ones first, even under `make -j`.
.NOTPARALLEL:

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/.stamp-demo ## install what is needed and show the main job on pandas
	@$(VENV)/bin/dpframe demo

.PHONY: test
test: lint test-main test-connect test-pandas3 ## install what is needed and run the whole default suite

.PHONY: test-main
test-main: $(VENV)/.stamp-test ## tests and doctests on pandas and Spark (classic)
	$(call with_java,$(VENV)) pytest --doctest-modules dpframe tests -m "not slow"

# A process holds either a classic session or a Connect one, never both.
.PHONY: test-connect
test-connect: $(VENV)/.stamp-test ## the contract suite over Spark Connect
	$(call with_java,$(VENV)) pytest $(CONTRACT) --engine=connect -m "not slow"

.PHONY: test-pandas3
test-pandas3: $(VENV_PANDAS3)/.stamp-test ## the contract suite on pandas 3, and a part of it on Spark
	$(call with_java,$(VENV_PANDAS3)) pytest $(CONTRACT) -k "$(PANDAS3_TESTS)" -m "not slow"

.PHONY: test-slow
test-slow: $(VENV)/.stamp-test ## the long statistical and fault tests
	$(call with_java,$(VENV)) pytest tests -m slow

.PHONY: lint
lint: $(VENV)/.stamp-test ## style, types and the import contracts; changes nothing
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/mypy --strict
	$(VENV)/bin/lint-imports

.PHONY: format
format: $(VENV)/.stamp-test ## rewrite the code in the house style
	$(VENV)/bin/ruff check --fix $(SOURCES)
	$(VENV)/bin/ruff format $(SOURCES)

.PHONY: bench
bench: $(VENV)/.stamp-test ## run the benchmarks
	set -e; for each in $(subst /,.,$(BENCHMARKS)); do $(call with_java,$(VENV)) python -m "$$each"; done

.PHONY: clean
clean: ## remove the environments and every cache
	rm -rf $(VENV) $(VENV_PANDAS3) build dist *.egg-info spark-warehouse metastore_db derby.log
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -type d -name __pycache__ -prune -exec rm -rf {} +

# The environments. The demo's and the tests' are one, so that the tests only add to it; both hold pandas < 3
# because pyspark.pandas cannot be imported with pandas 3, which has an environment of its own for the rest.
$(VENV)/.stamp-demo: pyproject.toml
	@echo "Installing dpframe into $(VENV) ..."
	@scripts/make_venv.sh "$(PYTHON)" $(VENV)
	@$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable . "pandas<3"
	@touch $@

$(VENV)/.stamp-test: pyproject.toml
	@echo "Installing dpframe, Spark and the test tools into $(VENV) (Spark is a download of some 450 MB) ..."
	@scripts/make_venv.sh "$(PYTHON)" $(VENV)
	@$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable ".[spark,ledger,dev]" "pandas<3"
	@touch $(VENV)/.stamp-demo $@

$(VENV_PANDAS3)/.stamp-test: pyproject.toml
	@echo "Installing dpframe, Spark and the test tools into $(VENV_PANDAS3), with pandas 3 ..."
	@scripts/make_venv.sh "$(PYTHON)" $(VENV_PANDAS3)
	@$(VENV_PANDAS3)/bin/python -m pip install $(PIP_FLAGS) --editable ".[spark,ledger,dev]" "pandas>=3"
	@touch $@
