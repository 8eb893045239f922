# `make quickstart` and `make test` do all the set-up on a fresh machine: a virtual environment, the install, the run.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-all test-browser test-slurm mutation lint docs install board benchmark benchmark-gpu clean

quickstart: .venv/installed
	$(BIN)/sambench quickstart

# two processes of one thread each: small tensors gain nothing from more threads
test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m "not slow and not browser"

test-all: .venv/installed
	$(BIN)/pytest -q

# the site and the documentation in Debian's chromium: apt-get install chromium
test-browser: .venv/installed-docs
	$(BIN)/pytest -q -m browser tests/browser

# as root, on Debian or a relative: brings up a SLURM cluster of four nodes on this machine, and takes it down again
test-slurm: .venv/installed
	$(BIN)/pytest -q -m slurm tests/slurm/real

# are the tests tested? no mutant is begun after an hour; a part of them: make mutation MUTANTS="--sample 50"
mutation: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/run.py $(MUTANTS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

board: .venv/installed
	$(BIN)/sambench leaderboard --results results --output LEADERBOARD.md --check
	$(BIN)/sambench study page --results results --output STUDIES.md --summary README.md --check

benchmark-gpu: .venv/installed
	$(BIN)/python benchmarks/speed/gpu.py --output gpu.json

# the documentation with the API and the page of the results, in build/docs; warnings are errors
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

benchmark: .venv/installed
	$(BIN)/pytest benchmarks/speed --benchmark-only -s

install: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -e '.[test,dev]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install -q -e '.[docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info sambench-results
