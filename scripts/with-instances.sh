#!/usr/bin/env bash
# Runs a command beside N instances that share one private PostgreSQL and Redis:
#   scripts/with-instances.sh N COMMAND…
# The command finds DOORBUSTER__POSTGRES__URL, DOORBUSTER__REDIS__URL and
# DOORBUSTER__ADMIN__SECRET_KEY in its environment, and the instances in URL_1 … URL_N and
# PID_1 … PID_N. Afterwards the invariants are verified.
# PROFILE names the folder of the binaries below the target folder (default: debug); PROGRAM is another
# doorbuster than the one in there, which only judges then.
set -euo pipefail
[ $# -ge 2 ] || exec "$(dirname "$0")/usage.sh" "$0"
instances=$1
shift
target=${CARGO_TARGET_DIR:-target}/${PROFILE:-debug}
program=${PROGRAM:-$target/doorbuster}
data=$(mktemp -d)
chmod 755 "$data"
exec {hold}> >(exec "$program" services --data "$data/pair" > "$data/services.json")
services=$!
pids=()
finish() {
    if [ ${#pids[@]} -gt 0 ]; then kill "${pids[@]}" 2>/dev/null || true; wait "${pids[@]}" 2>/dev/null || true; fi
    # Their end takes as long as there is to be written.
    exec {hold}>&- || true
    for _ in $(seq 300); do kill -0 "$services" 2>/dev/null || break; sleep 0.1; done
    rm -rf "$data"
}
trap finish EXIT
for _ in $(seq 100); do [ -s "$data/services.json" ] && break; sleep 0.1; done
url_of() { sed -nE "s/.*\"$1\":\"([^\"]*)\".*/\1/p" "$data/services.json"; }
[ -s "$data/services.json" ] || { echo 'PostgreSQL and Redis did not start' >&2; exit 1; }
DOORBUSTER__POSTGRES__URL=$(url_of postgres_url)
DOORBUSTER__REDIS__URL=$(url_of redis_url)
DOORBUSTER__ADMIN__SECRET_KEY="sk_$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
export DOORBUSTER__POSTGRES__URL DOORBUSTER__REDIS__URL DOORBUSTER__ADMIN__SECRET_KEY
export DOORBUSTER__LOG__FILTER=${DOORBUSTER__LOG__FILTER:-warn}
# All clients come from this machine: as wide as limits can be, but counted as ever.
wide='1000000/second burst 1000000'
export DOORBUSTER__LIMITS__PER_ADDRESS=${DOORBUSTER__LIMITS__PER_ADDRESS:-$wide}
export DOORBUSTER__LIMITS__PER_CREDENTIAL=${DOORBUSTER__LIMITS__PER_CREDENTIAL:-$wide}
export DOORBUSTER__LIMITS__SESSIONS_PER_ADDRESS=${DOORBUSTER__LIMITS__SESSIONS_PER_ADDRESS:-$wide}
export DOORBUSTER__LIMITS__ORDERS_PER_ADDRESS=${DOORBUSTER__LIMITS__ORDERS_PER_ADDRESS:-$wide}
"$program" migrate
for n in $(seq "$instances"); do
    DOORBUSTER__SERVER__BIND=127.0.0.1:0 "$program" serve > "$data/serve.$n" &
    pids+=($!)
    export "PID_$n=$!"
    for _ in $(seq 100); do [ -s "$data/serve.$n" ] && break; sleep 0.1; done
    [ -s "$data/serve.$n" ] || { echo "instance $n did not start" >&2; exit 1; }
    export "URL_$n=$(sed 's/doorbuster: serving //' "$data/serve.$n")"
done
"$@"
"$target/doorbuster" verify
