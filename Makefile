# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help run rush test cluster upgrade chaos simulate mutations model overload lint bench instructions loadtest retention-load schemathesis slow-clients login-storm deny sbom peers openapi ci proxies patroni services

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Everything is built at once everywhere, or what both packages use would be built twice.
run: services ## a shop on this machine, with its own PostgreSQL and Redis and a demo catalog
	cargo build --release --workspace
	$${CARGO_TARGET_DIR:-target}/release/doorbuster dev

rush: services ## a flash sale on this machine, shown as it happens and judged in the end
	cargo build --release --workspace
	$${CARGO_TARGET_DIR:-target}/release/doorbuster rush

# Tests wait more than they work, so two more at a time than there are cores.
test: services proxies patroni ## all tests, against real servers
	RUST_TEST_THREADS=$$(($$(getconf _NPROCESSORS_ONLN) + 2)) cargo test --workspace

cluster: services proxies patroni ## three databases, three instances, Redis and HAProxy, each a host of its own
	cargo build --release --workspace
	scripts/cluster.sh

upgrade: services ## an earlier binary (FROM, or that of the commit before) and this one on one database
	scripts/upgrade.sh $(FROM)

chaos: services proxies patroni ## the faults in their full numbers, with what was sent and what came of it
	set -o pipefail; log=$${CARGO_TARGET_DIR:-target}/chaos.txt; \
	histories=$$(realpath -m "$${CARGO_TARGET_DIR:-target}")/histories; \
	rm -rf "$$histories"; mkdir -p "$$histories"; \
	DOORBUSTER_FAULTS_HISTORIES="$$histories" \
	DOORBUSTER_FAULTS_KILLS=100 DOORBUSTER_FAULTS_ROLLOUTS=20 DOORBUSTER_FAULTS_COMMITS=1000 \
	DOORBUSTER_FAULTS_PARTITIONS=10 DOORBUSTER_FAULTS_CUTS=200 DOORBUSTER_FAULTS_PAYMENTS=20 \
	DOORBUSTER_FAULTS_STEPS=50 DOORBUSTER_FAULTS_FAILOVERS=10 DOORBUSTER_FAULTS_HOSTS=10 \
	DOORBUSTER_FAULTS_INSTANCES=32 DOORBUSTER_FAULTS_UNDONE=100 DOORBUSTER_FAULTS_HANGS=2 \
	DOORBUSTER_FAULTS_CARTS=100 \
	    cargo test --workspace --test faults -- --nocapture --test-threads=1 | tee $$log; \
	failed=$$?; scripts/chaos-table.sh < $$log; \
	DOORBUSTER_FAULTS_CIRCLE_SECONDS=60 DOORBUSTER_FAULTS_PRICES=200 \
	    cargo test --workspace --test api -- --nocapture never_wait_in_a_circle valid_at_its_commit \
	    || failed=$$?; exit $$failed

simulate: ## the core in histories with faults, for SECONDS_MAX seconds (an hour)
	DOORBUSTER_SIMULATION_SECONDS=$${SECONDS_MAX:-3600} cargo test --release --workspace \
	    --test simulation -- --nocapture

mutations: ## mistakes planted in the rules, which the simulation must find, in three quarters of an hour
	scripts/mutations.sh $(ONLY)

model: ## the protocol of orders and payments with FAULTS (2) faults, explored completely in half an hour
	DOORBUSTER_MODEL_FAULTS=$${FAULTS:-2} cargo test --release --workspace \
	    --test simulation no_order_of_events -- --nocapture

overload: services ## up to four times the orders that a slowed disk can commit
	cargo build --release --workspace
	target=$${CARGO_TARGET_DIR:-target}; scripts/slow-flush.sh 100000 $$target/release/loadtests \
	    run overload --start 1 --html $$target/overload.html

lint: ## formatting and lints, as strict as in CI
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# The release profile, not `dist`: its fat LTO takes minutes to build, and is a fifth faster.
# More of `limits` with words: `cargo bench --profile release --bench limits -- lines connections`.
bench: services ## what the rules cost, and orders, carts and reads beside what the machine allows
	set -o pipefail; cargo bench --profile release --bench rules --bench limits --bench reads \
	    | tee $${CARGO_TARGET_DIR:-target}/bench.txt

instructions: ## instructions of the rules, counted by callgrind, beside those of the run before
	scripts/instructions.sh

loadtest: services ## a flash sale on this machine: 20,000 buyers, 1,000 units, two instances
	cargo build --release --workspace
	PROFILE=release scripts/with-instances.sh 2 sh -c \
	    '$${CARGO_TARGET_DIR:-target}/release/loadtests rush --url $$URL_1 --url $$URL_2'

retention-load: services ## orders while millions of old rows are removed, and while they are not
	cargo build --release --workspace
	for enabled in false true; do \
	    PROFILE=release DOORBUSTER__RETENTION__ENABLED=$$enabled scripts/with-instances.sh 1 \
	        sh -c '$${CARGO_TARGET_DIR:-target}/release/loadtests retention --url $$URL_1 \
	            --skus 50 --buyers 90000 --ramp-seconds 60' || exit 1; \
	done

schemathesis: services ## schemathesis with all its checks against a running instance
	scripts/schemathesis/run.sh

slow-clients: services ## 5,000 idle and 500 dribbling connections, and orders meanwhile
	cargo build --release --workspace
	PROFILE=release scripts/beside.sh slow-clients 5000 500

login-storm: services ## 200 clients that log in again and again, and orders meanwhile
	cargo build --release --workspace
	PROFILE=release scripts/beside.sh login-storm 200

deny: ## licences, bans and sources of all dependencies
	scripts/deny.sh

sbom: ## what the program is made of (CycloneDX), into the target folder
	python3 scripts/sbom.py > $${CARGO_TARGET_DIR:-target}/doorbuster.cdx.json

peers: services ## the same journeys, race and reads on doorbuster, Vendure and Medusa (Node 20, npm)
	cargo build --release --workspace
	PROFILE=release scripts/peers/run.sh $(WORK)

openapi: ## docs/openapi.json from the code
	cargo build --quiet --workspace
	$${CARGO_TARGET_DIR:-target}/debug/doorbuster openapi > docs/openapi.json

ci: ## everything that CI runs
	bash .ci/run

proxies:
	@sh scripts/install-services.sh nginx haproxy pgbouncer

patroni:
	@sh scripts/install-services.sh patroni etcd ip curl python3

services: ## PostgreSQL's and Redis's programs, installed if they are missing
	@sh scripts/install-services.sh
