# The commands of Snowgate. Needs Python >= 3.11 with venv, a Rust toolchain, a C compiler and make.
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENVS := .venvs
RUST_SOURCES := $(shell find rust -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null) Cargo.toml Cargo.lock
# How long `make fuzz` runs each target.
SECONDS ?= 60

.PHONY: demo test lint bench fuzz soak test-rust test-python test-long build standin drivers clean tools

demo: build standin  ## The main job, end to end; KEEP=1 leaves it running
	$(BIN)/python -m snowgate.demo $(if $(KEEP),--keep)

test: lint test-rust test-python  ## Everything CI runs

lint: build standin
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest snowgate._core
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

test-rust: tools
	cargo test --workspace --exclude snowgate-core --profile quick --locked

test-python: build standin drivers
	$(BIN)/pytest
	cd standin && ../$(VENVS)/standin/bin/python -m pytest -q

test-long: build standin drivers  ## Crash rounds and other runs too long for every push
	$(BIN)/pytest -m long

soak: build standin drivers  ## Mixed load for SOAK_S=600 seconds; memory stays where it is
	SOAK_S=$(or $(SOAK_S),600) $(BIN)/pytest -m long tests/e2e/test_soak.py -s

fuzz: tools  ## Each fuzz target for SECONDS=60, in turn; what breaks one lies in rust/fuzz/artifacts
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is needed: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@command -v c++ >/dev/null || { echo "a C++ compiler is needed: apt install build-essential" >&2; exit 1; }
	cargo fuzz build --fuzz-dir rust/fuzz --sanitizer none
	@broken=; for target in $$(cargo fuzz list --fuzz-dir rust/fuzz); do \
		mkdir -p rust/fuzz/target/found/$$target; \
		if cargo fuzz run --fuzz-dir rust/fuzz --sanitizer none $$target \
			rust/fuzz/target/found/$$target rust/fuzz/corpus/$$target \
			-- -max_total_time=$(SECONDS) -timeout=10 -verbosity=0; \
		then echo "$$target: nothing found in $(SECONDS) s"; else broken="$$broken $$target"; fi; \
	done; test -z "$$broken" || { echo "see rust/fuzz/artifacts:$$broken" >&2; exit 1; }

bench: $(VENVS)/bench/.built  ## Ratios against peers in the same run, into bench/RESULTS.md
	$(VENVS)/bench/bin/python bench/run.py

$(VENVS)/bench/.built: pyproject.toml constraints.txt $(RUST_SOURCES) $(shell find python -name '*.py') | tools
	@test -x $(VENVS)/bench/bin/python || $(PY) -m venv $(VENVS)/bench
	$(VENVS)/bench/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps .
	$(VENVS)/bench/bin/pip install --quiet --disable-pip-version-check '.[bench]' --constraint constraints.txt
	cargo build --release --locked --package snowgate-gate --example canned_upstream
	cargo bench --locked --package snowgate-session --bench verdict --no-run
	@touch $@

build: $(VENV)/.built

$(VENV)/.built: pyproject.toml constraints.txt $(RUST_SOURCES) | tools
	@test -x $(BIN)/python || $(PY) -m venv $(VENV) || { echo "cannot make a virtual environment: apt install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	@touch $@

standin: $(VENVS)/standin/.built  ## The Snowflake stand-in and its real connector 4.8.1

$(VENVS)/standin/.built: standin/pyproject.toml standin/constraints.txt | tools
	@test -x $(VENVS)/standin/bin/python || $(PY) -m venv $(VENVS)/standin
	$(VENVS)/standin/bin/pip install --quiet --disable-pip-version-check --editable './standin[dev]' --constraint standin/constraints.txt
	@touch $@

drivers: $(VENVS)/connector5/.built $(VENVS)/dbt/.built  ## Real drivers, each in a venv of its own

$(VENVS)/connector5/.built $(VENVS)/dbt/.built: $(VENVS)/%/.built: tests/drivers/%.txt | tools
	@test -x $(@D)/bin/python || $(PY) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

tools:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed: install python3 (or set PY=python3.12)" >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "a Rust toolchain is needed: install rustup from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is needed: apt install build-essential" >&2; exit 1; }

clean:
	rm -rf $(VENV) $(VENVS) target .demo
