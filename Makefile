# make run      execute every notebook (NOTEBOOK=04: only that one) and publish its figures, sounds and verdicts
# make test     check style and types, run the unit tests, and compute every committed output again
# make lab      open the notebooks in JupyterLab
# make bench    compare the speed with other programs, quickly (FULL=1: in full); writes figures/bench.csv and bench.png
# make data     verify and rebuild the audio clips
# make site     build the site of the executed notebooks in build/site; it needs no kernel and no network
# make slides   build the slides of talks and chapters in build/slides; their figures with controls take minutes at first
# make app      serve one page with all sliders, and the panel that separates a recording of your own
# make browser  test the notebooks, the site and the slides in a browser: CHROMIUM=, or Debian's chromium
# make clean    remove generated files, but keep the virtual environments
# VERSIONS=newest or lowest uses .venv-newest or .venv-lowest, with the newest or lowest versions that pyproject.toml allows

PYTHON ?= python3
VERSIONS ?= pinned
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

ifeq ($(VERSIONS),pinned)
VENV := .venv
CONSTRAINTS := constraints.txt
else ifeq ($(VERSIONS),newest)
VENV := .venv-newest
CONSTRAINTS := /dev/null
UPGRADE := --upgrade --upgrade-strategy eager
else ifeq ($(VERSIONS),lowest)
VENV := .venv-lowest
CONSTRAINTS := $(VENV)/lowest.txt
else
$(error VERSIONS is "$(VERSIONS)"; it must be pinned, newest or lowest)
endif

READY := $(VENV)/ready
BIN := $(VENV)/bin

.PHONY: run test lab bench data site slides app browser clean
.DELETE_ON_ERROR:

run: $(READY)
	$(BIN)/python tools/run.py $(NOTEBOOK)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout 600 \
		--nbval-sanitize-with tests/nbval_sanitize.cfg -o filterwarnings=default notebooks

lab: $(READY)
	$(BIN)/jupyter lab --config=tools/lab/jupyter_server_config.py

bench: $(VENV)/ready-bench
	$(BIN)/python tools/bench.py $(if $(FULL),--full)

data: $(READY)
	$(BIN)/python tools/clips.py

site: $(VENV)/ready-site
	$(BIN)/python tools/site/build.py

slides: $(VENV)/ready-site
	$(BIN)/python tools/site/slides.py

app: $(VENV)/ready-app
	$(BIN)/python tools/app/app.py

browser: $(VENV)/ready-browser $(VENV)/ready-site
	$(BIN)/python -m pytest -n 2 tests/browser/test_lab.py tests/browser/test_app.py
	$(BIN)/python -m pytest tests/browser/test_site.py tests/browser/test_compute.py tests/browser/test_slides.py

clean:
	rm -rf .staging* build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find nmflib tests tools notebooks -name __pycache__ -prune -exec rm -r {} + -o -name .ipynb_checkpoints -prune -exec rm -r {} +

$(READY): pyproject.toml constraints.txt tools/lowest.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, found %s; try: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/lowest.py > $(VENV)/lowest.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UPGRADE) -c $(CONSTRAINTS) -e ".[notebooks,test]"
	@touch $@

# install an extra of pyproject.toml as well
$(VENV)/ready-%: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UPGRADE) -c $(CONSTRAINTS) -e ".[$*]"
	@touch $@
