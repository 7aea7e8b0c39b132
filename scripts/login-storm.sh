#!/usr/bin/env bash
# Orders alone, then beside 200 clients that log in again and again:
#   [PROFILE=release] [RATE=orders a second] scripts/login-storm.sh [CLIENTS]
# Says p99 of both, and what the instance holds in memory meanwhile. Without limits of clients: the
# storm comes from one address.
set -euo pipefail
here=$(dirname "$0")
clients=${1:-200}
if [ -z "${URL_1:-}" ]; then
    export DOORBUSTER__LIMITS__ENABLED=false
    exec "$here/with-instances.sh" 1 "$here/login-storm.sh" "$clients"
fi
loadtests=${CARGO_TARGET_DIR:-target}/${PROFILE:-debug}/loadtests
held() { echo "instance: $(awk '/VmRSS/ { print int($2 / 1024) " MiB" }' "/proc/$PID_1/status")"; }
orders() { "$loadtests" run orders --url "$URL_1" --set arrivals.0.rate="${RATE:-200}"; }
echo '== alone'
orders
held
echo "== beside $clients clients that log in"
python3 "$here/login-storm.py" "$URL_1" "$clients" &
storm=$!
trap 'kill $storm 2>/dev/null || true' EXIT
sleep 5
held
status=0
orders || status=$?
held
kill "$storm"
wait "$storm" 2> /dev/null || true
exit "$status"
