#!/usr/bin/env bash
# Backups from which any later moment can be restored; as the user that owns PostgreSQL's data:
#   scripts/backup.sh run FOLDER
#       copies the database of DOORBUSTER__POSTGRES__URL into FOLDER/base, and keeps its WAL in
#       FOLDER/wal as it is written, until it is stopped. Let something start it again when it ends:
#       it goes on where it was. The role needs REPLICATION; its password may stand in ~/.pgpass, where
#       other users of the machine do not see it. PostgreSQL 15 or later.
#   scripts/backup.sh restore FOLDER DATA [TIME]
#       makes DATA, a folder that PostgreSQL can be started on: it becomes what it was at TIME
#       ('2026-11-27 10:00:00+00'), or all that FOLDER holds.
# Nobody removes old WAL from a FOLDER: begin a new one every week, beside the old one with another
# SLOT (doorbuster_backup if none is given), and then drop the slot of the old one.
set -euo pipefail
refuse() {
    echo "$*" >&2
    exit 1
}
# Not by another script: this one is copied alone to the machine of the backups.
usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
# Fails if WAL is missing between the base and the last segment: PostgreSQL would take the gap for the
# end. Later timelines begin where earlier ones ended.
assert_whole() {
    local size name before= number
    size=$(LC_ALL=C pg_controldata "$folder/base" | sed -n 's/^Bytes per WAL segment: *//p')
    for name in $(cd "$folder" && ls base/pg_wal wal | grep -xE '[0-9A-F]{24}(\.partial)?' | sort -u); do
        number=$((16#${name:8:8} * (0x100000000 / size) + 16#${name:16:8}))
        if [ $number -gt $((${before:-$number} + 1)) ]; then
            refuse "WAL is missing before $name: name a TIME before that"
        fi
        before=$number
    done
}
# Makes the base, and the slot that keeps all that is written from its beginning on: what was written
# between two slots would be missing.
copy() {
    # What stands for the slot being this folder's: with it, an attempt that was cut off is begun anew.
    if [ ! -d "$folder/base.new" ]; then
        [ -d "$(dirname "$folder")" ] || refuse "there is no $(dirname "$folder"): is it mounted?"
        [ ! -e "$folder/wal" ] || refuse "$folder has WAL without its base: begin a new FOLDER"
        mkdir -p "$folder"
        pg_receivewal --dbname "$url" --slot "$slot" --create-slot ||
            refuse "if the slot is that of another FOLDER, give this one another SLOT; if it is nobody's" \
                "(an attempt was cut off at once), drop it: pg_receivewal --slot $slot --drop-slot"
        mkdir -m 700 "$folder/base.new"
    fi
    pg_receivewal --dbname "$url" --slot "$slot" --drop-slot 2> /dev/null || true
    rm -rf "$folder/wal"
    find "$folder/base.new" -mindepth 1 -delete
    mkdir "$folder/wal"
    pg_basebackup --dbname "$url" --pgdata "$folder/base.new" --checkpoint=fast \
        --create-slot --slot "$slot"
    mv "$folder/base.new" "$folder/base"
}
[ $# -ge 2 ] || usage
PATH=$PATH:$(printf '%s:' /usr/lib/postgresql/*/bin)
what=$1 folder=$(realpath -m "$2") slot=${SLOT:-doorbuster_backup}
# Of several hosts the one that takes writes, for the slot, the base and the WAL alike.
export PGTARGETSESSIONATTRS=read-write
case $what in
run)
    url=${DOORBUSTER__POSTGRES__URL:?which database?}
    if [ ! -d "$folder/base" ]; then
        copy
    fi
    # It ends when the server, the slot or the room is gone, so that somebody notices.
    exec pg_receivewal --dbname "$url" --slot "$slot" --directory "$folder/wal" --synchronous --no-loop
    ;;
restore)
    [ $# -ge 3 ] || usage
    data=$3 time=${4:-}
    [ ! -e "$data" ] || refuse "$data is there already: restore into a new folder"
    pg_verifybackup --quiet "$folder/base"
    [ -n "$time" ] || assert_whole      # it ends with an error if it does not reach its time
    cp -a "$folder/base" "$data"
    {
        echo "restore_command = 'cp \"$folder/wal/%f\" \"%p\" || cp \"$folder/wal/%f.partial\" \"%p\"'"
        echo "recovery_target_action = promote"
        # It is alone, and must not write into the archive of the one that it was copied from.
        echo "synchronous_standby_names = ''"
        echo "archive_mode = off"
        [ -z "$time" ] || echo "recovery_target_time = '$time'"
    } >> "$data/postgresql.auto.conf"
    touch "$data/recovery.signal"
    echo "-- Start PostgreSQL on $data; once it takes writes and doorbuster verify is content,"
    echo "-- as its superuser, so that it has a standby and an archive again where it had them:"
    for setting in restore_command recovery_target_action recovery_target_time \
        synchronous_standby_names archive_mode; do
        echo "ALTER SYSTEM RESET $setting;"
    done
    ;;
*) usage ;;
esac
