# Two commands matter: `make course` and `make test`. Both build the environment first where it is missing or where
# requirements.lock has changed. Written for GNU make 3.81 and later, as macOS has it.
VENV ?= .venv
PYTHON ?= python3
PY = "$(VENV)/bin/python"
# An environment that is there stays, unless PYTHON=... on the command line asks for another version. One that holds a
# file named "own" was built by hand (the README says how, for a torch without CUDA) and stays whatever happens.
WANTED = $(if $(filter command,$(origin PYTHON)),"$(PYTHON)",$(PY))
# Notebooks run on one thread each, two at a time; loadscope keeps the cells of one notebook together.
NBVAL = -n 2 --dist loadscope --nbval-lax --nbval-current-env --nbval-cell-timeout=1800 --nbval-sanitize-with tests/nbval_sanitize.cfg

.DEFAULT_GOAL := help
.PHONY: help env course test lab refresh figures site lint clean

help: ## Show this list
	@echo 'Usage: make TARGET [PYTHON=python3.12] [ARGS="--only 02"]'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1	\2/p' Makefile

course: env ## Run every notebook headless; pages to browse in build/course/ (ARGS: its options)
	@$(PY) -m robust_lib course $(ARGS)

test: env ## Unit tests, then the committed notebooks against their stored text
	$(PY) -m pytest -n 2 --dist loadfile
	$(PY) -m pytest $(NBVAL) notebooks

lab: env ## Open JupyterLab
	$(PY) -m jupyterlab $(ARGS)

refresh: env ## Run the committed notebooks in place and redraw figures/
	@$(PY) -m robust_lib course --in-place $(ARGS)
	@$(PY) -m robust_lib gallery

figures: env ## Redraw figures/papers/ and the gallery from the records in results/
	@$(PY) -m robust_lib figures

site: env ## Pages to read and the loss explorer, from the committed notebooks, in build/site/
	@$(PY) site/build.py

lint: env ## Check style, and who imports whom
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	"$(VENV)/bin/lint-imports"

clean: ## Remove what was built, except the environment (rm -rf .venv does that)
	rm -rf build .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The copy of the lock is put into the environment last, so one whose build was cut short is built again. The path
# file stands in for `pip install -e .`, which would have to fetch setuptools; it is written each time, because a
# clone may be moved and CI shares environments between clones.
env: ## Build the Python environment in .venv where it is missing or old
	@test -e "$(VENV)/own" \
	  || { cmp -s requirements.lock "$(VENV)/requirements.lock" && test "`$(WANTED) -V`" = "`$(PY) -V`"; } \
	  || $(MAKE) --no-print-directory build-env
	@echo "$(CURDIR)" > "`$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`/robust-losses-course.pth"

.PHONY: build-env
build-env:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or later is needed, as PYTHON: for example make PYTHON=python3.12 course'; exit 1; }
	@test ! -e "$(VENV)" || test -f "$(VENV)/pyvenv.cfg" || { \
	  echo '$(VENV) is there and is no Python environment: move it away'; exit 1; }
	@rm -rf "$(VENV)"
	@echo 'Building the environment in $(VENV). On a fast connection that takes up to a minute with uv, and two to'
	@echo "five minutes with pip. It is 6 GiB on Linux, where PyPI's torch brings the CUDA libraries; the README says"
	@echo 'how to do without them.'
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --python "$(PYTHON)" "$(VENV)" && \
	  uv pip install --python $(PY) --require-hashes -r requirements.lock; \
	else \
	  "$(PYTHON)" -m venv "$(VENV)" && \
	  $(PY) -m pip --disable-pip-version-check install --require-hashes -r requirements.lock; \
	fi
	@cp requirements.lock "$(VENV)/requirements.lock"
