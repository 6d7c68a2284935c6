# Every target does its own set-up: a fresh machine needs Python 3.11 and make, nothing else.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help demo test images check format golden constraints clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

# torch first and alone: pinned, pip takes a CPU build where one is offered, and nothing later replaces it.
$(READY): pyproject.toml constraints.txt
	command -v $(PYTHON) >/dev/null && $(PYTHON) -m venv .venv || python3 -m venv .venv
	$(BIN)/pip install -q --constraint constraints.txt torch
	$(BIN)/pip install -q --constraint constraints.txt -e '.[all]' $$(sed -n '/^dev = \[/,/^\]/s/^ *"\(.*\)",/\1/p' pyproject.toml)
	$(BIN)/pip install -q --constraint constraints.txt --no-deps tensorflow-serving-api # a test oracle; its dependencies are a second TensorFlow
	$(BIN)/pip install -q --constraint constraints.txt --no-deps nvidia-pytriton # brings Triton itself, for tests; its dependencies are of its own Python interface
	touch $(READY)

demo: $(READY) ## train, export, serve and check the example models; prints the table
	$(BIN)/deploy demo --store demo-out

test: $(READY) ## run all tests
	$(BIN)/pytest -n 2 --dist loadgroup

images: $(READY) ## build the images that can be built of packages alone; docker/build has the others
	PYTHON=$(BIN)/python docker/build embedded torchserve tfserving-stand-in triton-wheel

check: $(READY) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(READY) ## write the golden files of plans, --help and README tables anew
	DEPLOY_GOLDEN=write $(BIN)/pytest -q -k golden

constraints: $(READY) ## pin what is installed now
	$(BIN)/pip freeze --exclude-editable | sed -E 's/\+cpu$$//' | sort -f > constraints.txt

clean: ## remove the virtual environment and all that was made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build models demo-out
