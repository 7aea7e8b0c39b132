#!/bin/sh
# Runs a command as if its disk flushed more slowly, with all that it starts, PostgreSQL too:
#   scripts/slow-flush.sh 4000 cargo bench --profile release --bench limits
# The first argument is what each flush takes longer, in microseconds.  Needs a C compiler.
set -eu
[ $# -ge 2 ] || exec "$(dirname "$0")/usage.sh" "$0"
us=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# PostgreSQL may run as another user.
chmod 755 "$folder"
cc -shared -fPIC -O2 -o "$folder/slow-flush.so" "$(dirname "$0")/slow-flush.c"
SLOW_FLUSH_US=$us LD_PRELOAD=$folder/slow-flush.so "$@"
