# make run              the whole life of a model on synthetic surfaces; DATA=folder does it on yours
# make test             the test suite, a process a core; ANET_DATA=folder runs the tests on real pictures, too
# make test-slow        only the tests marked slow: minutes to an hour
# make bench            speed of A-Net and the networks of Fig. 9 here, and what fell since results/speed; BUNDLE=folder
# make tables           the tables of README and the pages, printed anew from results/
# make docs             the pages as a site in build/site; any warning is an error
# make lint             format and lint
# make types            types (pyright, basic)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PYTHONWARNINGS ?= ignore

.PHONY: run test test-slow bench tables docs lint types env clean

run: env
	$(BIN)/anet run $(DATA) $(ARGS)

test: env
	PYTHONWARNINGS=default $(BIN)/python -m pytest -n logical --dist loadfile --max-worker-restart 0 $(ARGS)

test-slow: env
	PYTHONWARNINGS=default $(BIN)/python -m pytest --slow -m slow $(ARGS)

bench: env
	$(BIN)/anet bench $(BUNDLE) --networks fig9 --engine native,openvino --against results/speed $(ARGS)

tables: env
	$(BIN)/python docs/print_results.py
	$(BIN)/python docs/print_few_labels.py
	$(BIN)/python docs/print_speed.py

docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	! grep -rlE '(src|href)="https?://[^"]*\.(js|css|woff2?)|src="https?://' build/site --include=*.html  # nothing from elsewhere

lint: env
	$(BIN)/ruff check anet tests docs examples .ci
	$(BIN)/ruff format --check anet tests docs examples .ci

types: env
	$(BIN)/pyright --pythonpath $(BIN)/python anet

env: $(VENV)/.done

# torch first and pinned: installed after anything that needs it, several GB of CUDA would come along.
$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "torch==2.13.0+cpu" \
	  || { echo "no CPU build of torch in reach of pip: taking the index's own build, which is larger"; \
	       $(BIN)/pip install --quiet "torch==2.13.0"; }
	$(BIN)/pip install --quiet -c constraints.txt -e ".[train,dev,docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
