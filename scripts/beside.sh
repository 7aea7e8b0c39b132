#!/usr/bin/env bash
# Orders alone, and beside a crowd:
#   [PROFILE=release] [RATE=orders a second] scripts/beside.sh login-storm CLIENTS
#   [PROFILE=release] [RATE=orders a second] scripts/beside.sh slow-clients IDLE DRIBBLING
# Says how long orders took before, meanwhile and afterwards, and what the instance holds in memory
# and open files. LOG names a file for what the crowd says.
set -euo pipefail
[ $# -ge 2 ] || exec "$(dirname "$0")/usage.sh" "$0"
here=$(dirname "$0")
crowd=$1
if [ -z "${URL_1:-}" ]; then
    # The crowd comes from one address, which would be limited.
    if [ "$crowd" = login-storm ]; then export DOORBUSTER__LIMITS__ENABLED=false; fi
    ulimit -n "$(ulimit -Hn)"
    exec "$here/with-instances.sh" 1 "$here/beside.sh" "$@"
fi
loadtests=${CARGO_TARGET_DIR:-target}/${PROFILE:-debug}/loadtests
held() {
    echo "instance: $(awk '/VmRSS/ { print int($2 / 1024) " MiB" }' "/proc/$PID_1/status")," \
        "$(ls "/proc/$PID_1/fd" | wc -l) open files"
}
orders() {
    echo "== $1"
    held
    "$loadtests" run orders --url "$URL_1" --set arrivals.0.rate="${RATE:-200}"
    held
}
# A new database writes new segments of its WAL, which takes longer than writing old ones again.
orders 'at first, not counted'
orders alone
log=${LOG:-$(mktemp)}
# What the crowd itself costs is on other machines in life.
nice -n 19 python3 "$here/$crowd.py" "$URL_1" "${@:2}" > "$log" &
crowd_pid=$!
trap 'kill $crowd_pid 2>/dev/null || true' EXIT
sleep 8
status=0
orders "beside $*" || status=$?
kill "$crowd_pid"
wait "$crowd_pid" 2> /dev/null || true
tail -n 1 "$log"
orders 'alone again'
exit "$status"
