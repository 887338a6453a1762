# make demo      a model that learns to read dates, from nothing to its answers, in a few minutes
# make test      the test suite          make test-all  slow tests and coverage too
# make test-browser   tests of the servers' page in a headless Chromium
# make lint      ruff and mypy           make bench     throughput, as JSON
# make bench-peers  the same work by OpenNMT-py and by us, in turn; PEERS='-train_src ...' for another corpus
# make test-gpu  the device tests on the GPU of this machine
# make docs      the option pages under docs/options
# Each target makes .venv first, with the versions of constraints.txt. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check install --constraint constraints.txt

# Threads that spin long while they wait make everything many times slower when other programs want the cores too.
export GOMP_SPINCOUNT ?= 2000

.PHONY: demo test test-all test-browser test-gpu lint bench bench-peers docs clean
.DEFAULT_GOAL := test

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.py pyproject.toml constraints.txt | $(RUN)
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed
	$(RUN) tools/demo.py

test: $(VENV)/installed-dev
	$(RUN) -m pytest -q

test-all: $(VENV)/installed-dev
	$(RUN) -m pytest -q -m 'not browser' --cov --cov-report=term:skip-covered --cov-fail-under=90

test-browser: $(VENV)/installed-dev
	@command -v chromium chromedriver >/dev/null || \
		{ echo 'Chromium is needed; on Debian: apt-get update && apt-get install -y chromium chromium-driver'; exit 1; }
	$(PIP) --editable '.[browser]'
	$(RUN) -m pytest -q -m browser

test-gpu: $(VENV)/installed-dev
	$(RUN) -m pytest -q -m gpu test/device

lint: $(VENV)/installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/installed
	$(RUN) -m benchmarks $(BENCH)

bench-peers: $(VENV)/installed
	$(RUN) -m benchmarks.peers $(PEERS)

docs: $(VENV)/installed
	$(RUN) -m onmt.commandline.document docs/options

clean:
	rm -rf $(VENV) demo build dist *.egg-info
