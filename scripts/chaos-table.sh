#!/bin/sh
# The rows that the fault tests have printed, as one table: scripts/chaos-table.sh < LOG
set -eu
cat <<'HEAD'

| fault | times | buyers | requests | acknowledged | refused | turned away | unknown | left open | made unanswered | under way | unknown in the end | lost | doubled | oversold | reads in order | back after | longest silence | longest wait |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
HEAD
grep '^| ' | sort
