# What one does with this project, one word each; `make` lists them.
# Everything happens in .venv, which is made when it is missing and updated when pyproject.toml has changed.

VENV := .venv
BIN := $(VENV)/bin
DEMO := napari-fcn-demo
# A worker for each core, up to 4; each begins with its part of the tests, in their order, and takes over from slower ones.
PARALLEL := --numprocesses=logical --maxprocesses=4 --dist=worksteal
# More for pytest, such as ARGS="-m 'not slow'" or ARGS="tests/models -x"
ARGS :=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo gui test test-pyqt6 lint screenshots clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-base ## learn from a few labelled images, segment others, write a picture to napari-fcn-demo/
	$(BIN)/napari-fcn demo --output $(DEMO) --overwrite

gui: $(VENV)/.installed-pyside6 ## open napari with the plugin and a sample
	@bash tools/qt_system_libraries.sh
	$(BIN)/python tools/gui.py

test: $(VENV)/.installed-test ## run all tests, offline, on a screen that nobody sees
	@bash tools/qt_system_libraries.sh --virtual-screen
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 QT_API=pyside6 PYTEST_QT_API=pyside6 bash tools/virtual_screen.sh \
		$(BIN)/python -m pytest $(PARALLEL) $(ARGS)
ifeq ($(strip $(ARGS)),)
	@$(MAKE) --no-print-directory test-pyqt6
endif

test-pyqt6: $(VENV)/.installed-test $(VENV)/.installed-pyqt6 ## run what each widget does with the other Qt binding
	@bash tools/qt_system_libraries.sh --virtual-screen
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 QT_API=pyqt6 PYTEST_QT_API=pyqt6 bash tools/virtual_screen.sh \
		$(BIN)/python -m pytest $(PARALLEL) -m both_qt tests/widgets $(ARGS)

lint: $(VENV)/.installed-lint ## check style, format, types and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

screenshots: $(VENV)/.installed-test ## take the pictures of the widgets in docs/images anew; ARGS names some
	@bash tools/qt_system_libraries.sh --virtual-screen
	HF_HUB_OFFLINE=1 QT_API=pyside6 bash tools/virtual_screen.sh $(BIN)/python tools/screenshots.py $(ARGS)

clean: ## remove what was built, measured, cached and demonstrated
	rm -rf build dist $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## the same, and the environment
	rm -rf $(VENV)

# One stamp for each set of extras: the second time costs nothing.
$(VENV)/.installed-%: pyproject.toml tools/environment.sh
	@bash tools/environment.sh $(VENV) $*
	@touch $@
