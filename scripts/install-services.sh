#!/bin/sh
# Installs the programs that a private PostgreSQL and Redis need, a C compiler for the crates that
# contain C, and the programs that it is told of. Does nothing, quickly, where they are present.
#
# The packages' own services are neither needed nor started: `doorbuster dev` and the tests run
# their own servers on their own data.
set -eu

has() {
    command -v "$1" >/dev/null 2>&1
}

has_postgres() {
    has postgres && has initdb && return
    for initdb in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
        /opt/homebrew/opt/postgresql@*/bin/initdb /usr/local/opt/postgresql@*/bin/initdb; do
        if [ -x "$initdb" ] && [ -x "${initdb%initdb}postgres" ]; then
            return
        fi
    done
    return 1
}

has_redis() {
    has redis-server || has valkey-server
}

missing=
has_postgres || missing="$missing postgresql"
has_redis || missing="$missing redis-server"
has cc || missing="$missing build-essential"
for program in "$@"; do
    has "$program" && continue
    case $program in
    etcd) program=etcd-server ;;
    ip) program=iproute2 ;;
    esac
    missing="$missing $program"
done
[ -n "$missing" ] || exit 0

if ! has apt-get; then
    echo "Missing here (named as in Debian):$missing. Please install it, for example:" >&2
    echo "  Fedora:  sudo dnf install postgresql-server valkey gcc" >&2
    echo "  macOS:   brew install postgresql@17 redis" >&2
    echo "  Alpine:  sudo apk add postgresql redis build-base" >&2
    echo "  Arch:    sudo pacman -S postgresql valkey base-devel" >&2
    exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif has sudo; then
    as_root=sudo
else
    echo "Please run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing$missing"
# Expanded here, once: package names without spaces in them.
# shellcheck disable=SC2086
$as_root sh -s -- $missing <<'AS_ROOT'
set -eu

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
no_cluster=$clusters/doorbuster.conf
made_policy=
made_parent=
made_clusters=

clean() {
    [ -z "$made_policy" ] || rm -f "$policy"
    rm -f "$no_cluster"
    # Both stay if the packages have put something of their own there.
    [ -z "$made_clusters" ] || rmdir "$clusters" 2>/dev/null || :
    [ -z "$made_parent" ] || rmdir "${clusters%/*}" 2>/dev/null || :
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

# For the time of the installation: no service starts, no cluster is made.
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
[ -d "${clusters%/*}" ] || made_parent=yes
[ -d "$clusters" ] || made_clusters=yes
mkdir -p "$clusters"
echo 'create_main_cluster = false' >"$no_cluster"

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null

# Nor at the next boot, if it was this script that brought it.
for package in "$@"; do
    case $package in
    redis-server | nginx | haproxy | pgbouncer | patroni) service=$package ;;
    etcd-server) service=etcd ;;
    *) continue ;;
    esac
    if [ -d /run/systemd/system ]; then
        systemctl disable --quiet "$service.service" </dev/null || :
    fi
done
AS_ROOT
