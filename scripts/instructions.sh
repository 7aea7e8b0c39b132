#!/usr/bin/env bash
# Counts the instructions of the rules with callgrind, and says what has changed since the run
# before:  scripts/instructions.sh [ARGUMENTS OF gungraun…]
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
sh scripts/install-services.sh valgrind
# The runner must have the version of the library.
version=$(sed -n '/^name = "gungraun-runner"$/ { n; s/version = "\(.*\)"/\1/p }' Cargo.lock)
cargo install --quiet --locked --root "$target/tools" --version "$version" gungraun-runner
export GUNGRAUN_RUNNER=$target/tools/bin/gungraun-runner
cargo bench --profile release --bench instructions -- "$@"
