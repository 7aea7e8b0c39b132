#!/usr/bin/env bash
# Schemathesis against a real instance, with all its checks and phases:
#   scripts/schemathesis/run.sh [OPTIONS OF `st run`…]
# Its schemathesis is the one on PATH, else a pinned one in a venv below the target folder.
set -euo pipefail
version=4.32.5
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if [ -z "${URL_1:-}" ]; then
    cargo build --quiet --workspace
    # It guesses passwords and tokens from one address, and would be refused before it is judged.
    export DOORBUSTER__LIMITS__ENABLED=false
    exec "$here/../with-instances.sh" 1 "$here/run.sh" "$@"
fi
st=$(command -v st || true)
if [ -z "$st" ]; then
    st=$target/schemathesis/bin/st
    [ -x "$st" ] || python3 -m venv "$target/schemathesis"
    "$target/schemathesis/bin/pip" install --quiet "schemathesis==$version"
fi
# The folder of its caches and reports; the hooks are found by PYTHONPATH.
mkdir -p "$target/schemathesis-run"
cd "$target/schemathesis-run"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
"$st" --config-file "$here/schemathesis.toml" run "$URL_1/openapi.json" --checks all "$@"
