# The commands of this project. The logic is in scripts/; everything here can be run again at any time.
# Variables: PEERS=3 (make up), ARGS='...' (more arguments for make up, bench and others), PYTEST='...' (arguments for make test),
#            PYTHON=python3.11, TORCH_SPEC=torch==2.13.0+cpu (see scripts/setup.sh)
PEERS ?= 3
ARGS ?=
PYTEST ?=
SEEDS ?= 2000
HOURS ?= 1
export PYTHON TORCH_SPEC TORCH_INDEX_URL
.DEFAULT_GOAL := help
.PHONY: help setup up test test-tsan test-arm torture soak fuzz fuzz-network test-docker chaos image lint format bench bench-cpp clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## everything that make up needs, without starting anything
	@scripts/setup.sh up

up: setup ## train with PEERS=3 peer processes on this machine; Ctrl-C stops all of them
	@exec .venv/bin/murmur up --peers $(PEERS) $(ARGS)

test: ## set up and run every test that needs no Docker: C++ (ctest, with sanitizers) and Python (pytest)
	@scripts/setup.sh test
	@scripts/test.sh $(PYTEST)

test-tsan: ## run the C++ tests of everything without libtorch under ThreadSanitizer
	@scripts/setup.sh lint
	@scripts/test-tsan.sh $(ARGS)

test-arm: ## cross-compile the C++ core for 64-bit Arm and run its tests under QEMU: the same bytes as on x86-64
	@scripts/setup.sh lint
	@scripts/test-arm.sh $(ARGS)

torture: ## thousands of seeded lives of swarms under faults (SEEDS=2000, ARGS='--replay 17' or '--report FILE'; an hour on two cores)
	@scripts/setup.sh test
	@.venv/bin/python -m tests.swarm.torture --seeds $(SEEDS) $(ARGS)

soak: setup ## HOURS=1 of six peers that are killed, stopped and replaced; soak.png and a verdict (ARGS='--seed 2')
	@.venv/bin/python -m pip --disable-pip-version-check install -q $$(.venv/bin/python scripts/requirements.py dev | grep ^matplotlib==)
	@.venv/bin/python -m benchmarks.soak --hours $(HOURS) $(ARGS)

fuzz: setup ## fuzz every decoder of bytes from the network, guided by coverage (ARGS='--runs 10000'; 20 minutes)
	@.venv/bin/python -m pip --disable-pip-version-check install -q $$(.venv/bin/python scripts/requirements.py fuzz)
	@.venv/bin/python tests/fuzz/fuzz_decoders.py $(ARGS)

fuzz-network: setup ## a million malformed frames on a peer that trains with two others (ARGS='--frames 20000'; 50 minutes)
	@.venv/bin/python -m tests.fuzz.fuzz_network $(ARGS)

test-docker: ## build the image, run a swarm of containers, kill one (starts an engine if none runs and you are root)
	@scripts/setup.sh lint
	@scripts/with-docker.sh env MURMUR_REQUIRE_DOCKER=1 .venv/bin/python -m pytest tests/docker -m docker -v $(PYTEST)

chaos: ## eight containers under 32 scenarios: kills, cut links, pauses, floods, lies (20 minutes of an idle machine)
	@scripts/setup.sh chaos
	@scripts/with-docker.sh env MURMUR_REQUIRE_DOCKER=1 .venv/bin/python -m pytest tests/docker -m chaos -v $(PYTEST)

image: ## build the container image (docker-compose up does it too)
	@scripts/with-docker.sh scripts/compose.sh build peer

lint: ## ruff, mypy --strict, import contracts, what the pages claim, clang-format: exactly what CI checks
	@scripts/setup.sh lint
	@scripts/lint.sh

format: ## rewrite Python and C++ sources in the project's format
	@scripts/setup.sh lint
	@scripts/lint.sh --fix

bench: setup ## run all benchmarks, or ARGS=benchmarks/ppo_speed.py (many minutes; close other programs)
	@scripts/bench.sh $(ARGS)

bench-cpp: ## run the micro-benchmarks of the C++ core, or ARGS=--benchmark_filter=step
	@scripts/setup.sh lint
	@scripts/bench-cpp.sh $(ARGS)

clean: ## remove build outputs and caches, keep .venv
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .venv/.stamps/core

distclean: clean ## remove .venv as well
	rm -rf .venv
