#!/usr/bin/env bash
# Asks cargo-deny whether the dependencies are what deny.toml allows. Arguments: its checks, of bans, licenses, sources, advisories.
# A check that finds nothing might look at nothing: a dependency that is there is forbidden once, and must be found.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}"
version=0.20.2
deny="$cache/cargo-deny-$version/bin/cargo-deny"
if [[ ! -x $deny ]]; then
    echo "installing cargo-deny into ${deny%/bin/*} (one to three minutes)" >&2
    cargo install --quiet --locked --debug --root "${deny%/bin/*}" "cargo-deny@$version"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$deny" --locked --config deny.toml check "$@" >"$work/printed" 2>&1; then
    cat "$work/printed" >&2
    if grep -q 'failed to fetch advisory database' "$work/printed"; then
        echo "dependencies: error: the RustSec database can't be reached; run this where github.com can" >&2
    else
        echo "dependencies: error: a dependency is not as deny.toml allows; the lines above say which and who brings it" >&2
    fi
    exit 1
fi
sed 's/crate = "openssl-sys"/crate = "ring"/' deny.toml >"$work/deny.toml"
if "$deny" --locked --config "$work/deny.toml" check bans >"$work/printed" 2>&1 || ! grep -q "crate 'ring = " "$work/printed"; then
    cat "$work/printed" >&2
    echo "dependencies: error: cargo-deny does not see a dependency that is forbidden" >&2
    exit 1
fi
echo "dependencies: $* are as deny.toml allows"
