#!/usr/bin/env bash
# One, two and three instances on one database, each asked directly and through nginx; one hot SKU
# and a hundred: scripts/side-by-side.sh [RUNS]
# For each the median of RUNS (3) runs, in turn: the 99th percentile at 1,500 orders a second, and the
# orders acknowledged a second when 20,000 are offered. Everything runs on this machine, nginx too.
# Several instances share its cores, so each has its share of workers and of lanes, one at least.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-3}
rows=("${@:2}")
[ ${#rows[@]} -gt 0 ] || rows=(1:direct 1:nginx 100:direct 100:nginx)
target=${CARGO_TARGET_DIR:-target}/${PROFILE:-release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seconds=6
cat > "$work/scenario.toml" <<SCENARIO
about = "How quick at 1,500 a second, and how many of 20,000"
kind = "stairs"
[stairs]
from = 1500
step = 18500
to = 20000
seconds = $seconds
# Whatever is acknowledged within a step counts, however often its buyer had to come.
p99_ms_max = $((seconds * 1000))
goes_on = true
[clients]
connections = 1500
ask_again = 50
[thresholds]
unknown_max = 1000000
SCENARIO

# Beside the instances: $1 is direct or nginx, $2 the number of SKUs, $3 where the report goes.
run='
urls=$(env | sed -n "s/^URL_[0-9]*=//p" | sort)
if [ "$1" = nginx ]; then
    servers=$(for url in $urls; do echo "server ${url#http://} max_fails=0;"; done | tr "\n" " ")
    sed -e "/server 10.0.0.12:8080/d" -e "s|server 10.0.0.11:8080 max_fails=0;|$servers|" \
        -e "s/listen 8000/listen 127.0.0.1:8007/" -e "s|/var/log/nginx/doorbuster.log|$3.log|" \
        config/nginx.conf > "$3.nginx"
    nginx -e "$3.errors" -g "daemon off; pid $3.pid; error_log $3.errors error;" -c "$3.nginx" &
    trap "kill $!" EXIT
    sleep 0.5
    urls=http://127.0.0.1:8007
fi
"$4"/loadtests run "$5" --set goods.fresh="$2" --json "$3" \
    $(for url in $urls; do echo "--url $url"; done) > "$3.txt" 2>&1 || true
'

export PROFILE=${PROFILE:-release}

# One run: so many instances, asked in this way, and where its report goes.
measure() {
    local instances=$1 way=$2 skus=$3 report=$4
    share_of() { echo $((($1 + instances - 1) / instances)); }
    DOORBUSTER__SERVER__WORKERS=$(share_of "$(nproc)") \
    DOORBUSTER__POSTGRES__JOURNAL_CONNECTIONS=$(share_of 2) \
        scripts/with-instances.sh "$instances" bash -c "$run" side "$way" "$skus" "$report" \
        "$target" "$work/scenario.toml" > "$work/verify.txt" 2>&1 ||
        { cat "$work/verify.txt" "$report.txt"; exit 1; }
}

echo '| SKUs | asked | instances | orders/s | of one | p99 at 1,500/s, ms |'
echo '|---|---|---|---|---|---|'
for row in "${rows[@]}"; do
    skus=${row%:*} way=${row#*:}
    # In turn, because the machine is quicker at one time than at another.
    for n in $(seq "$runs"); do
        for instances in 1 2 3; do
            measure "$instances" "$way" "$skus" "$work/$instances-$n.json"
        done
    done
    python3 - "$work" "$skus" "$way" "$runs" <<'MEDIANS'
import glob, json, statistics, sys
work, skus, way, runs = sys.argv[1:]
one = None
for instances in 1, 2, 3:
    reports = [json.load(open(file)) for file in glob.glob(f"{work}/{instances}-*.json")]
    assert len(reports) == int(runs), f"{len(reports)} of {runs} runs ended"
    wrong = [finding for report in reports for finding in report["verdict"]["findings"]]
    assert not wrong, wrong
    steps = [report["stairs"]["steps"] for report in reports]
    most = statistics.median(step[1]["achieved"] for step in steps)
    p99 = statistics.median(step[0]["p99_ms"] for step in steps)
    one = one or most
    print(f"| {skus} | {way} | {instances} | {most:,.0f} | {most / one:.2f} | {p99:.0f} |", flush=True)
MEDIANS
    rm -f "$work"/[0-9]*.json*
done
