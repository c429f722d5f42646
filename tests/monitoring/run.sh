#!/usr/bin/env bash
# Checks the alerts of the chart, and tries each: when it fires, with which words, and when it keeps silent. By promtool, Prometheus' own.
#
# The program comes from Debian's package of Prometheus, once, into the cache outside the checkout; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}/prometheus"
promtool="${PROMTOOL:-$(command -v promtool || echo "$cache/promtool")}"

fail() { printf 'monitoring: error: %s\n' "$@" >&2; exit 1; }

if [[ ! -x $promtool ]]; then
    command -v apt-get >/dev/null || fail "there is no promtool" "name one: PROMTOOL=/path/to/promtool tests/monitoring/run.sh"
    echo "monitoring: taking promtool from Debian's package of Prometheus into $cache (a download of 20 MB)" >&2
    work=$(mktemp -d)
    mkdir -p "$cache"
    # A fresh machine may have no list of packages yet.
    (cd "$work" && { apt-get download --quiet --quiet prometheus || { apt-get update --quiet --quiet && apt-get download --quiet --quiet prometheus; }; }) \
        >"$work/log" 2>&1 || fail "$(tail -n 2 "$work/log")" "name a promtool: PROMTOOL=/path/to/promtool tests/monitoring/run.sh"
    dpkg-deb --extract "$work"/prometheus_*.deb "$work/tree"
    mv "$work/tree/usr/bin/promtool" "$cache/promtool"
    rm -rf "$work"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp charts/genesys-oauth-operator/files/monitoring/alerts.yaml tests/monitoring/alerts.test.yaml "$work"
"$promtool" check rules "$work/alerts.yaml" >"$work/printed" || { cat "$work/printed" >&2; fail "promtool refuses the alerts"; }
"$promtool" test rules "$work/alerts.test.yaml" >"$work/printed" 2>&1 || { cat "$work/printed" >&2; fail "an alert does not do what its test says"; }
# A test that tries nothing would pass: promtool must see that an alert is off.
sed 's/> 4 \*/> 400 */' charts/genesys-oauth-operator/files/monitoring/alerts.yaml >"$work/alerts.yaml"
if "$promtool" test rules "$work/alerts.test.yaml" >"$work/printed" 2>&1; then fail "the tests do not see a threshold that is off"; fi
echo "monitoring: promtool takes the alerts, and each fires and keeps silent as its test says"
