# Habits of the project. `make demo` and `make test` work on a fresh Debian machine with Python 3.11.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Where the default index would give the CUDA build of torch, name an index that has the CPU build.
TORCH_INDEX ?=
CLIPS ?=
# Tests of a file run one after the other, so many files at a time.
TEST_WORKERS ?= 2
COMPARE ?=

.PHONY: setup demo test coverage check crash format fuzz soak load image bench bench-long lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH_INDEX="$(TORCH_INDEX)" scripts/setup.sh
	@touch $@

demo: setup ## Enrol and identify rendered walkers, or CLIPS="a.mp4 b.mp4"; writes demo/report.html
	$(BIN)/gaitkeeper demo $(CLIPS)

test: check ## Style, types, import order, then every test
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

coverage: setup ## Every test, with the share of lines that run in the tests' own processes; half as slow again
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --cov --cov-report=term:skip-covered --cov-report=json:coverage.json

crash: setup ## kill -9 of writers and of Redis at 200 random points each
	GAITKEEPER_CRASH_POINTS=200 $(BIN)/python -m pytest -s tests/crash

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: setup ## 2,000 broken clips and 1,000 requests an operation against a real service; half an hour
	GAITKEEPER_FUZZ_CLIPS=2000 GAITKEEPER_FUZZ_EXAMPLES=1000 $(BIN)/python -m pytest --timeout 0 \
		tests/service/http/test_hostile_clips.py tests/service/http/test_openapi_fuzz.py

soak: setup ## 1,000 short identifications, one after the other: does memory grow?
	$(BIN)/python -m bench.soak

load: setup ## Many, large and slow uploads at once; needs 4 GB of disk
	$(BIN)/python -m bench.load

image: setup ## The CPU image's tree without a container engine, built and tried; root, 4 GB of disk
	GAITKEEPER_IMAGE=1 TORCH_INDEX="$(TORCH_INDEX)" $(BIN)/python -m pytest -s --timeout 0 tests/docker/test_image.py

bench: setup ## Every figure in one JSON and one page, bench/results/bench.*; COMPARE=old.json shows what got worse
	$(BIN)/python -m bench $(if $(COMPARE),--compare "$(COMPARE)")

bench-long: setup ## The same with what takes hours: soak, uploads, search up to a million templates
	$(BIN)/python -m bench --long $(if $(COMPARE),--compare "$(COMPARE)")

lock: setup ## Pin what is installed now
	scripts/lock.sh "$(BIN)/python"

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
