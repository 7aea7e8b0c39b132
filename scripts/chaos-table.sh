#!/bin/sh
# The rows that the fault tests have printed, as one table: scripts/chaos-table.sh < LOG
set -eu
cat <<'HEAD'

| fault | times | orders sent | acknowledged | refused | turned away | unknown | made unanswered | under way | met | unknown in the end | lost, doubled, oversold | reads in order | longest silence | longest wait |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
HEAD
grep '^| ' | sort
