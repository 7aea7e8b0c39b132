#!/bin/sh
# Says how a script is used, in the words at its head: exec scripts/usage.sh SCRIPT
sed -n '2,/^set/s/^# \{0,1\}//p' "$1" >&2
exit 2
