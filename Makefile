# make help lists what there is. CARGO and CORPUS may be set: make test CARGO='nice cargo'

CARGO ?= cargo
PYTHON ?= python3
PROBE := target/release/flowsonde
MINUTES ?= 15

# Every Debian package that is installed is named here.
BUILD_NEEDS := gcc g++ libc6-dev make pkg-config libpcap-dev libsodium-dev libndpi-dev
LIVE_NEEDS := iproute2 tcpreplay procps
CONFORMANCE_NEEDS := python3 python3-yaml python3-venv python3-zmq tshark nfdump libndpi-bin iproute2 nftables tcpdump
BENCH_NEEDS := python3 python3-venv gcc libndpi-bin softflowd nfdump pmacct wireshark-common
BENCH_COLLECTOR_NEEDS := python3 nfdump nfdump-sflow pmacct gcc make libzmq3-dev

.PHONY: help
help: ## List these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

.PHONY: deps
deps: ## Install the Debian packages the build needs, where they are missing
	@.ci/install $(BUILD_NEEDS)

.PHONY: live-deps
live-deps: ## Install what the tests on interfaces need besides root; without it they are skipped
	@.ci/install $(LIVE_NEEDS)

.PHONY: build
build: deps ## Build the release binaries: flowsonde, flowrelay and flowload in target/release
	$(CARGO) build --locked --release --bin flowsonde --bin flowrelay --bin flowload

.PHONY: demo
demo: build ## Meter the capture shipped in demo/: a summary, and the flows in demo/flows.json
	$(PROBE) -i demo/demo.pcap.gz --summary --json demo/flows.json
	@echo
	@echo "$$(wc -l < demo/flows.json) flow records in demo/flows.json, one a line; the first:"
	@head -n 1 demo/flows.json

.PHONY: test
test: deps fmt clippy check-tests check-fuzz check-docs deny ## Everything that has to pass from the repository alone
	@echo 'make test: passed'

.PHONY: fmt
fmt:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy: deps
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p flowsonde-app --no-default-features -- -D warnings

# Golden cases, and whether the files made from tables (options, manual page, elements) are fresh, are among the tests.
.PHONY: check-tests
check-tests: deps
	env -u BLESS $(CARGO) test --locked --workspace

# That they compile; `make fuzz` runs them.
.PHONY: check-fuzz
check-fuzz: deps
	$(CARGO) check --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

.PHONY: check-docs
check-docs: deps
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps

.PHONY: deny
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		echo '$(CARGO) deny check bans licenses sources'; \
		$(CARGO) deny check bans licenses sources; \
	else \
		echo 'cargo deny is not installed: licences and sources of dependencies are not checked'; \
	fi

.PHONY: conformance
conformance: build ## Compare with TShark and nfdump over the captures of CORPUS, or ../shared/corpus
	@.ci/install $(CONFORMANCE_NEEDS)
	$(PYTHON) tests/conformance/run.py
	$(PYTHON) tests/conformance/export.py
	$(PYTHON) tests/conformance/collect.py
	$(PYTHON) tests/conformance/tlv.py
	$(PYTHON) tests/conformance/labels.py
	$(PYTHON) tests/oracle/signs.py
	$(PYTHON) tests/relay/crash.py
	$(PYTHON) tests/relay/firewall.py
	/usr/bin/python3 tests/relay/garbage.py
	$(CARGO) run --locked --release --quiet -p flowsonde-io --example check_corpus -- "$${CORPUS:-../shared/corpus}"
	$(CARGO) run --locked --release --quiet --example hostile -- "$${CORPUS:-../shared/corpus}"

.PHONY: conformance-full
conformance-full: build ## The same with what takes longer
	@.ci/install $(CONFORMANCE_NEEDS)
	$(PYTHON) tests/conformance/run.py --full
	$(PYTHON) tests/conformance/export.py --full

.PHONY: bench
bench: build ## Speed and memory beside other probes; results in bench/RESULTS.md
	@.ci/install $(BENCH_NEEDS)
	$(CARGO) build --locked --release --example dpi_alone
	bench/run
	bench/dpi
	bench/active-flows

.PHONY: bench-collector
bench-collector: build ## Speed and memory of collecting beside other collectors; results in bench/RESULTS.md
	@.ci/install $(BENCH_COLLECTOR_NEEDS)
	$(CARGO) build --locked --release --bin flowload
	bench/collector

.PHONY: bench-relay
bench-relay: build ## Speed, delay and memory of relaying beside a bare CURVE socket; results in bench/RESULTS.md
	$(CARGO) build --locked --release -p flowsonde-io --features zmq --example relay_bench
	bench/relay

.PHONY: bless
bless: ## Rewrite what golden cases expect; read the difference like code
	BLESS=1 $(CARGO) test --locked -p flowsonde-app --test golden
	@git --no-pager diff --stat -- tests/golden

.PHONY: docs
docs: ## Make the generated pages anew: docs/options.md, docs/elements.md, docs/man
	BLESS=1 $(CARGO) test --locked -p flowsonde-app --lib

.PHONY: fuzz
fuzz: ## Fuzz every parser for MINUTES (15) each; needs cargo-fuzz
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo 'cargo-fuzz is not installed: cargo install cargo-fuzz' >&2; exit 1; }
	@for target in $$($(CARGO) fuzz list); do \
		echo "fuzzing $$target for $(MINUTES) minutes"; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=$$(($(MINUTES) * 60)) || exit 1; \
	done
