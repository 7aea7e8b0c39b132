#!/usr/bin/env bash
# Compares doorbuster with Vendure and Medusa on this machine:
#   scripts/peers/run.sh [WORK] [OPTIONS…]
# WORK is a folder for what is installed and written (default: a new one below the temp folder).
# PROFILE names the folder of doorbuster's binaries below the target folder (default: release).
# The options are in README.md beside this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
# PostgreSQL does not run as root; its user has to reach its data.
chmod 755 "$work"
exec node "$here/compare.mjs" --work "$work" \
    --binaries "${CARGO_TARGET_DIR:-target}/${PROFILE:-release}" "${@:2}"
