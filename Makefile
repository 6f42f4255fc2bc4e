# make demo: find nodules in a simulated chest.   make test: everything that checks this project.
# Both prepare .venv by themselves. Other choices: make PYTHON=python3.12 TORCH=torch==2.9.0 demo

PYTHON ?= python3
TORCH ?= torch==2.13.0
DEMO ?= demo-output
export PYTHON TORCH

.PHONY: demo test lint types unit clean

demo: .venv/.runtime
	.venv/bin/lungnodulecad demo --output $(DEMO)

test: lint types unit

lint: .venv/.tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check --quiet .

types: .venv/.tests
	.venv/bin/mypy

unit: .venv/.tests
	QT_QPA_PLATFORM=offscreen OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses 2 --dist loadfile

clean:
	rm -rf .venv $(DEMO) .mypy_cache .pytest_cache .ruff_cache

.venv/.runtime: pyproject.toml .ci/setup
	.ci/setup runtime

.venv/.tests: .venv/.runtime
	.ci/setup tests
