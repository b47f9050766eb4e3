# Two commands do everything on a machine with Python 3.11+ and make:
#   make book    the environment, then the book at _build/html/index.html, and as one zip beside it
#   make test    the environment, then every check
# Variables: PYTHON (which Python makes the environment), PIP_FLAGS (such as an index with torch's
# CPU build), CONSTRAINTS (empty for the newest versions), WORKERS (parallel test processes).

PYTHON ?= python3
PIP_FLAGS ?=
CONSTRAINTS ?= constraints.txt
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ASSETS := _build/assets/.installed
DEMO := _build/extra/.made
INDEX := _build/html/index.html
BUNDLE := _build/nerdrain-book.zip

JUPYTER_BOOK := $(BIN)/jupyter-book build . -W -n --keep-going
NBVAL := $(BIN)/pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 \
	--nbval-sanitize-with tests/nbval_sanitize.cfg -n $(WORKERS) --dist loadscope

RUNS := $(foreach leg,1 2 3 4 5 6 7,runs/nerd-rain-tiny-$(leg))

.PHONY: checkpoints help env book test lint types unit test-course nbval strict site lab bench gpu notebooks constraints clean

help:
	@echo "make book       the environment, then the book at $(INDEX) and as $(BUNDLE)"
	@echo "make test       the environment, then lint, types, unit tests, assignments, notebooks, the book and its pages"
	@echo "make test-course  grade the known hand-ins of every assignment; 5 minutes"
	@echo "make lab        JupyterLab on the notebooks"
	@echo "make bench      measure speed and memory on the CPU, for the page book/speed.md; 15 minutes"
	@echo "make gpu        run the tests and chapters on a CUDA GPU, then measure there"
	@echo "make checkpoints  train the shipped models again, from their recipes; hours"
	@echo "make notebooks  run every notebook and write it back in its committed form"
	@echo "make clean      remove what was built and the environment"

env: $(INSTALLED)

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) $(if $(CONSTRAINTS),-c $(CONSTRAINTS),--upgrade) -e ".[book,test]"
	@touch $@

$(ASSETS): $(INSTALLED) package.json package-lock.json tools/site_assets.py
	$(BIN)/python tools/site_assets.py
	@touch $@

# The page "Try it": the shipped model as ONNX, its runtime and its pictures; minutes.
$(DEMO): $(ASSETS) tools/demo_assets.py book/extra/try-it/worker.js nerdrain/inference/export.py \
		$(wildcard nerdrain/model/*.py data/checkpoints/nerd-rain-tiny/*.safetensors)
	OMP_NUM_THREADS=1 $(BIN)/python tools/demo_assets.py
	@touch $@

book: $(DEMO)
	$(BIN)/python tools/run_book.py --workers $(WORKERS)
	$(JUPYTER_BOOK)
	@$(BIN)/python tools/bundle.py
	@echo "The book is at $(CURDIR)/$(INDEX)"

test: lint types unit test-course nbval strict site
	@echo "All checks passed."

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

unit: $(INSTALLED)
	$(BIN)/pytest -n $(WORKERS) --ignore-glob='tests/book/test_site*.py' --cov --cov-report=term --cov-fail-under=95

# Solutions, correct and wrong hand-ins of all assignments get the points that they deserve.
test-course: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/nerdrain course verify --jobs 2

# Kernels share the cores: one thread each is faster than all of them at once. The notebooks that
# pass are kept for the pages (notebooks/conftest.py).
nbval: $(INSTALLED)
	OMP_NUM_THREADS=1 $(NBVAL) notebooks

# No page of an earlier build is reused. The pages show what nbval has just run and compared.
strict: $(DEMO) nbval
	rm -rf _build/html _build/.doctrees _build/jupyter_execute
	$(JUPYTER_BOOK)

site: $(DEMO)
	$(BIN)/pytest -n $(WORKERS) tests/book/test_site*.py

lab: $(INSTALLED)
	$(BIN)/jupyter lab notebooks

bench: $(INSTALLED)
	$(BIN)/python benchmarks/bench_speed.py

# Without conftest.py, so that the book keeps the chapters that ran on the CPU.
gpu: $(INSTALLED)
	@$(BIN)/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("make gpu: no CUDA device was found; use a machine with an NVIDIA GPU and a CUDA build of torch.")'
	NERDRAIN_DEVICE=cuda $(BIN)/pytest -n $(WORKERS) --ignore=tests/book --ignore=tests/project --ignore=tests/fuzz tests
	NERDRAIN_DEVICE=cuda $(NBVAL) --noconftest notebooks
	$(BIN)/python benchmarks/bench_speed.py --device cuda

# Hours. A run that was stopped goes on.
checkpoints: $(INSTALLED)
	for run in $(RUNS); do $(BIN)/nerdrain train recipes/$${run#runs/}.yaml -o $$run --resume || exit 1; done
	$(BIN)/python tools/ship_checkpoint.py nerd-rain-tiny $(RUNS)

notebooks: $(INSTALLED)
	$(BIN)/ruff format notebooks
	$(BIN)/python tools/notebooks.py

constraints:
	$(BIN)/python tools/constraints.py

clean:
	rm -rf _build $(VENV) node_modules build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
