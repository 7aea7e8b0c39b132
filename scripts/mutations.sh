#!/usr/bin/env bash
# Plants the mistakes of tests/simulation/mutations into the rules of the last commit, one at a time
# and in a copy: scripts/mutations.sh [NAME…]. The simulation must find each of them, and does not
# know where they are.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/tests/simulation/mutations
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# The crates are those of the checkout; its programs are not overwritten by mistaken ones.
export CARGO_BUILD_BUILD_DIR=$target CARGO_TARGET_DIR=$target/mutants
copy=$target/mutated
trap 'git worktree remove --force "$copy" || true' EXIT
git worktree add --quiet --force --detach "$copy"
cd "$copy"
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(basename --suffix=.diff "$folder"/*.diff)
# With another profile, or cargo would take what it builds here for the checkout's own.
simulation() {
    cargo test --quiet --config 'profile.dev.package.doorbuster.debug = false' \
        --config 'profile.dev.package.loadtests.debug = false' \
        --workspace --test simulation "$@" 2>&1
}
simulation whatever_fails > /dev/null || { echo 'It fails as it is.'; exit 1; }
found=0
for name in "${names[@]}"; do
    git checkout --quiet .
    git apply "$folder/$name.diff"
    log=$(simulation --no-run) || { echo "$log"; exit 1; }
    begun=$SECONDS
    if log=$(simulation whatever_fails); then
        echo "$name: MISSED"
    else
        found=$((found + 1))
        echo "$name: after $((SECONDS - begun)) s: $(grep -A 1 ' panicked at ' <<< "$log" | tail -n 1 | cut -c -200)"
    fi
done
echo "$found of ${#names[@]} found at $(git describe --always)"
[ "$found" = "${#names[@]}" ]
