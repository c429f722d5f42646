#!/usr/bin/env bash
# Checks the alerts of the chart, and tries each: when it fires, with which words, and when it keeps silent. By promtool, Prometheus' own, over the file
# and over what Helm renders of it.
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
chart=charts/genesys-oauth-operator

tried() { # FOLDER TESTS...: promtool takes the rules of the folder, and they do what the tests say
    "$promtool" check rules "$1/alerts.yaml" >"$work/printed" 2>&1 && (cd "$1" && "$promtool" test rules "${@:2}") >"$work/printed" 2>&1
}

# As they are in the chart.
mkdir "$work/file"
cp "$chart/files/monitoring/alerts.yaml" tests/monitoring/alerts.test.yaml "$work/file"
tried "$work/file" alerts.test.yaml || { cat "$work/printed" >&2; fail "an alert does not do what its test says"; }
# A test that tries nothing would pass: promtool must see that an alert is off.
sed 's/> 4 \*/> 400 */' "$chart/files/monitoring/alerts.yaml" >"$work/file/alerts.yaml"
if tried "$work/file" alerts.test.yaml; then fail "the tests do not see a threshold that is off"; fi

# As the Prometheus Operator gets them: the spec of the PrometheusRule that Helm renders, where one alert is rewritten for the release.
programs=$(tests/chart/install.sh)
rendered() { # HELM NAMESPACE
    "$programs/$1" template genesys-oauth-operator "$chart" --namespace "$2" --kube-version 1.33.0 \
        --set prometheusRule.enabled=true --show-only templates/monitoring.yaml | sed -n '/^spec:/,$p' | sed -e 1d -e 's/^  //'
}
for helm in helm3 helm4; do
    mkdir "$work/$helm"
    cp tests/monitoring/release.test.yaml "$work/$helm"
    # All tests but those of the alert that is rewritten, which has its own.
    awk '/^  - name: / { own = $3 == "GenesysOAuthOperatorDown" } !own' tests/monitoring/alerts.test.yaml >"$work/$helm/alerts.test.yaml"
    rendered "$helm" genesys-oauth-operator >"$work/$helm/alerts.yaml"
    for file in "$chart/files/monitoring/alerts.yaml" "$work/$helm/alerts.yaml"; do grep -c 'alert: ' "$file"; done | uniq | wc -l | grep -qx 1 ||
        fail "$helm renders other alerts than the file holds"
    tried "$work/$helm" alerts.test.yaml release.test.yaml || { cat "$work/printed" >&2; fail "an alert that $helm renders does not do what its test says"; }
    rendered "$helm" elsewhere >"$work/$helm/alerts.yaml"
    if tried "$work/$helm" release.test.yaml; then fail "the tests do not see an alert about another release"; fi
done
echo "monitoring: promtool takes the alerts, from the file and as Helm renders them, and each fires and keeps silent as its test says"
