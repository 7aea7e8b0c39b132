#!/usr/bin/env bash
# A whole shop on one machine, each part a host of its own (a network namespace on one bridge):
# three databases (PostgreSQL under Patroni, with etcd), two Redis with three Sentinels, three
# instances and HAProxy before them. As root, on Debian:
#   scripts/cluster.sh                  all of it, until its standard input ends, or Ctrl-C
# PROGRAM is another doorbuster than that of the release profile; instances inherit DOORBUSTER__….
# Meanwhile, from elsewhere:
#   scripts/cluster.sh primary          which database takes writes
#   scripts/cluster.sh redis            which Redis takes writes
#   scripts/cluster.sh ready            whether the others follow it, one of them synchronously
#   scripts/cluster.sh kill HOST        kills all processes there at once (db1, redis1, app1 …)
#   scripts/cluster.sh start HOST       starts them again
#   scripts/cluster.sh cut HOST         takes its network away, from clients too
#   scripts/cluster.sh join HOST        gives it back
set -euo pipefail
umask 077
cd "$(dirname "$0")/.."

net=10.77.0
data=/tmp/doorbuster-cluster
databases='db1 db2 db3'
redises='redis1 redis2 redis3'
instances='app1 app2 app3'
balancer='lb'

address_of() {
    case $1 in
    db*) echo "$net.1${1#db}" ;;
    redis*) echo "$net.2${1#redis}" ;;
    app*) echo "$net.3${1#app}" ;;
    lb) echo "$net.2" ;;
    esac
}

# FORMAT for each host of a list, with its name for NAME and its address for ADDRESS, joined by commas.
listed() {
    local list= host
    for host in $2; do
        list+=,$(sed "s/NAME/$host/g; s/ADDRESS/$(address_of "$host")/g" <<<"$1")
    done
    echo "${list#,}"
}

# --- hosts -------------------------------------------------------------------------------------

make_host() {
    ip netns add "door-$1"
    ip link add "door-$1" type veth peer name eth0 netns "door-$1"
    ip link set "door-$1" master door up
    ip -n "door-$1" address add "$(address_of "$1")/24" dev eth0
    ip -n "door-$1" link set eth0 up
    ip -n "door-$1" link set lo up
    install -d -o postgres -m 700 "$data/$1"
}

# Again until nobody is left: a process may have begun another one meanwhile.
kill_host() {
    local pids
    while pids=$(ip netns pids "door-$1") && [ -n "$pids" ]; do
        xargs kill -9 <<<"$pids" 2>/dev/null || true
        sleep 0.02
    done
}

# Runs a program there, as the user postgres, in the background; what it says goes into a log.
on() {
    local host=$1
    shift
    # The lock of the whole must not outlive it.
    (cd "$data/$host" && exec ip netns exec "door-$host" setpriv --reuid=postgres \
        --regid=postgres --init-groups "$@" </dev/null >>"$data/$host/$(basename "$1").log" 2>&1 9>&-) &
    # Nobody wants to read in the terminal that it was killed.
    disown
}

# One part that cannot be removed keeps none of the others.
remove_all() (
    set +e
    for host in $databases $redises $instances $balancer; do
        [ -e "/run/netns/door-$host" ] || continue
        kill_host "$host"
        ip netns delete "door-$host"
        ip link delete "door-$host" 2>/dev/null
    done
    ip link delete door 2>/dev/null
    rm -rf "$data"
)

# --- what runs on them -------------------------------------------------------------------------

start_database() {
    local host=$1 own bin
    own=$(address_of "$host")
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)
    on "$host" etcd --name "$host" --data-dir "$data/$host/etcd" --logger zap --log-level error \
        --enable-v2=true \
        --initial-cluster "$(listed NAME=http://ADDRESS:2380 "$databases")" \
        --initial-cluster-token doorbuster --heartbeat-interval 100 --election-timeout 1000 \
        --initial-advertise-peer-urls "http://$own:2380" --listen-peer-urls "http://$own:2380" \
        --advertise-client-urls "http://$own:2379" --listen-client-urls "http://$own:2379"
    sed -e "s/NAME/$host/g; s/ADDRESS/$own/g; s|DATA|$data/$host|g; s|BIN|$bin|g" \
        -e "s/ETCD/$(listed ADDRESS:2379 "$databases")/; s|NETWORK|$net.0/24|g" \
        -e "s/PASSWORD/$(cat "$data/password")/g" config/patroni.yml >"$data/$host/patroni.yml"
    chown postgres "$data/$host/patroni.yml"
    on "$host" patroni "$data/$host/patroni.yml"
}

# Whether Patroni says of a database that it is the primary, a replica, or the one that commits wait for.
is() {
    curl -sf -m 1 -o /dev/null "http://$(address_of "$1"):8008/$2"
}

primary() {
    local host
    for host in $databases; do
        if is "$host" primary; then echo "$host" && return; fi
    done
    return 1
}

# A primary that waits for a standby, and a third that could take its place.
databases_are_ready() {
    local host replicas=0 synchronous=0
    primary >/dev/null || return 1
    for host in $databases; do
        if is "$host" replica; then replicas=$((replicas + 1)); fi
        if is "$host" sync; then synchronous=$((synchronous + 1)); fi
    done
    [ "$replicas $synchronous" = '2 1' ]
}

postgres_url() {
    echo "postgres://postgres:$(cat "$data/password")@$(listed ADDRESS:5432 "$databases")/postgres"
}

# The Redis that takes writes, as a Sentinel says that is never cut off.
primary_redis() {
    local found
    found=$(redis-cli -h "$(address_of redis3)" -p 26379 --raw \
        sentinel get-master-addr-by-name shop | head -n 1)
    case $found in
    "$net".2[12]) echo "redis${found#"$net.2"}" ;;
    *) return 1 ;;
    esac
}

start_redis() {
    local host=$1 own
    own=$(address_of "$host")
    # The third only votes.
    if [ "$host" != redis3 ]; then
        on "$host" redis-server --bind "$own" --port 6379 --save '' --appendonly no \
            --protected-mode no --dir "$data/$host" \
            $([ "$host" = redis1 ] || echo "--replicaof $(address_of redis1) 6379")
    fi
    [ -e "$data/$host/sentinel.conf" ] || cat >"$data/$host/sentinel.conf" <<SENTINEL
bind $own
port 26379
protected-mode no
dir $data/$host
sentinel monitor shop $(address_of redis1) 6379 2
sentinel down-after-milliseconds shop 1000
sentinel failover-timeout shop 5000
SENTINEL
    chown postgres "$data/$host/sentinel.conf"
    on "$host" redis-server "$data/$host/sentinel.conf" --sentinel
}

start_instance() {
    local host=$1
    on "$host" env \
        DOORBUSTER__SERVER__BIND="$(address_of "$host"):8080" \
        DOORBUSTER__SERVER__TRUSTED_PROXIES="$(address_of lb)" \
        DOORBUSTER__POSTGRES__URL="$(postgres_url)" \
        DOORBUSTER__REDIS__URL="redis+sentinel://$(listed ADDRESS:26379 "$redises")/shop" \
        DOORBUSTER__ADMIN__SECRET_KEY="$(cat "$data/admin-key")" \
        "$data/doorbuster" serve
}

start_balancer() {
    local servers
    servers=$(for host in $instances; do echo "    server $host $(address_of "$host"):8080 check"; done)
    grep -v '^    server ' config/haproxy.cfg >"$data/lb/haproxy.cfg"
    echo "$servers" >>"$data/lb/haproxy.cfg"
    chown postgres "$data/lb/haproxy.cfg"
    on lb haproxy -db -q -f "$data/lb/haproxy.cfg"
}

start() {
    case $1 in
    db*) start_database "$1" ;;
    redis*) start_redis "$1" ;;
    app*) start_instance "$1" ;;
    lb) start_balancer ;;
    esac
}

# --- all of it ---------------------------------------------------------------------------------

wait_for() {
    local what=$1 seconds=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        "$@" && return
        sleep 0.2
    done
    echo "$what: not ready after $seconds seconds; the last words of each host:" >&2
    tail -n 3 "$data"/*/*.log >&2
    exit 1
}

bring_up() {
    exec 9>/run/doorbuster-cluster.lock
    flock -n 9 || { echo 'A cluster is running on this machine already.' >&2; exit 1; }
    remove_all
    trap remove_all EXIT
    trap 'exit 1' INT TERM
    install -d -o postgres -m 755 "$data"
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$data/password"
    random=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    echo "${DOORBUSTER__ADMIN__SECRET_KEY:-sk_$random}" >"$data/admin-key"
    ip link add door type bridge
    ip address add "$net.1/24" dev door
    ip link set door up
    for host in $databases $redises $instances $balancer; do make_host "$host"; done
    for host in $databases; do start "$host"; done
    wait_for databases 90 databases_are_ready
}

# In the background, because signals wait for what is in the foreground.
wait_for_end() {
    exec 3<&0
    cat <&3 >/dev/null &
    reader=$!
    trap 'kill $reader 2>/dev/null || true; remove_all' EXIT
    wait "$reader"
}

instances_are_ready() {
    local host
    for host in $instances; do
        curl -sf -m 1 -o /dev/null "http://$(address_of "$host"):8080/readyz" || return 1
    done
}

usage() { exec scripts/usage.sh scripts/cluster.sh; }

case ${1:-all} in
kill | start | cut | join)
    case " $databases $redises $instances $balancer " in *" ${2:-none} "*) ;; *) usage ;; esac
    ;;
esac
[ "$(id -u)" = 0 ] || { echo 'It makes network namespaces: run it as root.' >&2; exit 1; }

case ${1:-all} in
all)
    bring_up
    install -m 755 "${PROGRAM:-${CARGO_TARGET_DIR:-target}/release/doorbuster}" "$data/doorbuster"
    for host in $redises $instances $balancer; do start "$host"; done
    wait_for instances 30 instances_are_ready
    cat <<READY
shop:       http://$(address_of lb):8000
instances:  $(listed http://ADDRESS:8080 "$instances")
databases:  $(postgres_url)
admin key:  $(cat "$data/admin-key")
logs:       $data
faults:     scripts/cluster.sh kill|start|cut|join HOST
READY
    wait_for_end
    ;;
primary) primary ;;
redis) primary_redis ;;
ready) databases_are_ready && instances_are_ready && echo yes ;;
kill) kill_host "$2" ;;
start) start "$2" ;;
cut) ip link set "door-$2" down ;;
join) ip link set "door-$2" up ;;
*) usage ;;
esac
