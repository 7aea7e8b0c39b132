#!/usr/bin/env bash
# An earlier binary and this one, side by side: scripts/upgrade.sh [COMMIT]
# The earlier one (of HEAD~1, or COMMIT) makes its schema and sells, while this one migrates the schema
# and begins to serve. Both sell the same units, which a provider charges, take the same carts from
# session to order, and show the same products while these change, with one Redis; in the midst of a
# last sale the earlier one is asked to stop. Then the database is judged.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse --short "${1:-HEAD~1}")
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR
work=$(mktemp -d)
trap 'git worktree remove --force "$work/source" || true; rm -rf "$work"' EXIT
# A checkout's binaries, into a folder. With a test, dependencies have the features that `make test` has
# built them with.
build() {
    cargo build --quiet --workspace --bins --test tidy "${@:2}"
    install -Dt "$1" "$CARGO_TARGET_DIR"/debug/{doorbuster,loadtests}
}
git worktree add --quiet --detach "$work/source" "$commit"
(
    cd "$work/source"
    # With another profile, or cargo would take what it has built of one checkout for the other's.
    build "$work/earlier" --config 'profile.dev.package.doorbuster.debug = false' \
        --config 'profile.dev.package.loadtests.debug = false'
)
build "$work/this"

# Beside the earlier instance; $1 is the folder of this commit's binaries.
sell='
set -e
rush() { "$1/loadtests" rush --buyers 3000 "${@:2}"; }
trap "kill \$(jobs -p) 2> /dev/null; wait" EXIT
echo "== the earlier one, and this one begins"
rush "$1" --units 2900 --ramp-seconds 8 --url "$URL_1" &
sold=$!
sleep 3
DOORBUSTER__SERVER__BIND=127.0.0.1:0 "$1/doorbuster" serve > "$2/serve" &
for _ in $(seq 100); do [ -s "$2/serve" ] && break; sleep 0.1; done
kill -0 $sold
wait $sold
both="--url $URL_1 --url $(sed "s/doorbuster: serving //" "$2/serve")"
echo "== both"
rush "$1" --units 400 --provider test $both
"$1/loadtests" run checkout --set options.sessions=200 $both
"$1/loadtests" browse --readers 20 --rate 300 --seconds 6 --changes 60 --hot 2 $both
echo "== both, and the earlier one stops"
rush "$1" --units 2900 --ramp-seconds 8 $both &
sold=$!
sleep 3
kill "$PID_1"
kill -0 $sold
wait $sold
for _ in $(seq 150); do kill -0 "$PID_1" 2> /dev/null || exit 0; sleep 0.1; done
echo "the earlier one does not stop"
exit 1
'
PROGRAM=$work/earlier/doorbuster CARGO_TARGET_DIR=$work PROFILE=this \
    scripts/with-instances.sh 1 bash -c "$sell" upgrade "$work/this" "$work"
echo "$commit and $(git describe --always --dirty) agree"
