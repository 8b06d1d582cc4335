# `make demo` and `make test` build .venv on first use. PYTHON=... chooses the interpreter, VENV=... the folder.
#
# torch comes by pip, the rest by uv where there is one: pip alone reads the user's pip configuration, so that a CPU build of
# torch from an index or folder named there is taken instead of gigabytes of CUDA; uv is several times as fast for what is left.

VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
# JOBS tests or engines side by side, each on one core
export OMP_NUM_THREADS ?= 1

.PHONY: demo test slow lint format clean

demo: $(VENV)/ready
	$(BIN)/ppgen compare gaussian-mixture --data old-faithful --engines svi,nuts --out report/

test: $(VENV)/ready
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

slow: $(VENV)/ready
	$(BIN)/python -m pytest -n $(JOBS) -m slow

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist *.egg-info report

# The first interpreter that runs and is new enough; 3.11 first, which constraints.txt was made with.
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

$(VENV)/ready: pyproject.toml setup.cfg constraints.txt
	@found=; for python in $(CANDIDATES); do \
	    if $$python -c "$(NEW_ENOUGH)" 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "ppgen needs Python 3.11 or newer; none of these is: $(CANDIDATES)" >&2; exit 2; fi; \
	echo "building $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	if uv --version 2>/dev/null; then install="uv pip install --python $(BIN)/python"; else install="$(BIN)/python -m pip install"; fi; \
	$$install -q -c constraints.txt -e ".[dev]"
	@touch $@
