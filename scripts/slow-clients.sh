#!/usr/bin/env bash
# Orders alone, then beside 5,000 idle and 500 dribbling connections:
#   [PROFILE=release] scripts/slow-clients.sh [IDLE DRIBBLING]
# Says p99 of both, and what the instance holds in memory and open files meanwhile.
set -euo pipefail
here=$(dirname "$0")
idle=${1:-5000}
dribbling=${2:-500}
if [ -z "${URL_1:-}" ]; then
    ulimit -n "$(ulimit -Hn)"
    exec "$here/with-instances.sh" 1 "$here/slow-clients.sh" "$idle" "$dribbling"
fi
loadtests=${CARGO_TARGET_DIR:-target}/${PROFILE:-debug}/loadtests
held() {
    echo "instance: $(awk '/VmRSS/ { print int($2 / 1024) " MiB" }' "/proc/$PID_1/status")," \
        "$(ls "/proc/$PID_1/fd" | wc -l) open files"
}
orders() { "$loadtests" run orders --url "$URL_1" --set arrivals.0.rate="${RATE:-200}"; }
echo '== alone'
held
orders
held
echo "== beside $idle idle and $dribbling dribbling connections"
python3 "$here/slow-clients.py" "$URL_1" "$idle" "$dribbling" > "${LOG:-/dev/null}" &
crowd=$!
trap 'kill $crowd 2>/dev/null || true' EXIT
sleep 8
held
status=0
orders || status=$?
held
kill "$crowd"
wait "$crowd" 2> /dev/null || true
sleep "${AFTER:-40}"
echo '== when they are gone'
held
exit "$status"
