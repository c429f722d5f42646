#!/usr/bin/env bash
# Checks the alerts of the chart, and tries each: when it fires, with which words, and when it keeps silent. By promtool, Prometheus' own, over the file
# and over what Helm renders of it. Checks the queries of the dashboard, too.
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
for off in 's/> 4 \*/> 400 */' 's/platform_deletion_timestamp_seconds > 0/platform_deletion_timestamp_seconds >= 0/' \
    's/: genesys_oauth_platform_deletion_timestamp_seconds > 0/: last_over_time(genesys_oauth_platform_deletion_timestamp_seconds[1h]) > 0/'; do
    sed "$off" "$chart/files/monitoring/alerts.yaml" >"$work/file/alerts.yaml"
    if cmp --quiet "$chart/files/monitoring/alerts.yaml" "$work/file/alerts.yaml"; then fail "nothing is off by $off"; fi
    if tried "$work/file" alerts.test.yaml; then fail "the tests do not see an alert that is off by $off"; fi
done
silent=$(awk '/^  - name: .* keeps silent/ { name = $3 } /input_series: \[\]/ && name { print name } /^  - name: .* fires/ { name = "" }' \
    tests/monitoring/alerts.test.yaml)
[[ -z $silent ]] || fail "an alert keeps silent where nothing is to be seen, which shows nothing:" "$silent"

# The queries of the dashboard, as recording rules, for promtool knows no dashboards; with values for Grafana's variables.
rules() { # DASHBOARD
    python3 - "$1" <<'END'
import json, re, sys
rules = []
for panel in json.load(open(sys.argv[1]))["panels"]:
    name = "panel:" + re.sub("[^a-z0-9]+", "_", panel["title"].lower())
    for number, target in enumerate(panel.get("targets", [])):
        query = target["expr"].replace("$organization", "acme|beta")
        if "$" in query:
            sys.exit(f"{panel['title']}: a variable that the test does not know: {query}")
        rules.append({"record": f"{name}:{number}", "expr": query})
if len({rule["record"] for rule in rules}) < len(rules):
    sys.exit("two panels have one title")
if len(rules) < 25:
    sys.exit(f"only {len(rules)} queries were found")
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
END
}
shown() { # DASHBOARD: promtool takes its queries, and they show what the tests say
    mkdir -p "$work/dashboard"
    cp tests/monitoring/dashboard.test.yaml "$work/dashboard"
    rules "$1" >"$work/dashboard/dashboard.yaml" 2>"$work/printed" &&
        "$promtool" check rules "$work/dashboard/dashboard.yaml" >"$work/printed" 2>&1 &&
        (cd "$work/dashboard" && "$promtool" test rules dashboard.test.yaml) >"$work/printed" 2>&1
}
dashboard="$chart/files/monitoring/dashboard.json"
shown "$dashboard" || { cat "$work/printed" >&2; fail "a query of the dashboard is wrong"; }
# A parenthesis too many, a function that does not exist, a variable that nobody sets, and a query that shows too much are seen.
for off in 's/"sum(genesys_oauth_leading)"/"sum(genesys_oauth_leading))"/' 's/"expr": "bottomk(/"expr": "bottommost(/' \
    's/organization\\"/organisation\\"/' \
    's/status=\\"True\\"} == 1) or vector(0)/status=~\\".*\\"} == 1) or vector(0)/'; do
    sed "$off" "$dashboard" >"$work/off.json"
    if cmp --quiet "$dashboard" "$work/off.json"; then fail "nothing is off by $off"; fi
    if shown "$work/off.json"; then fail "promtool does not see a dashboard that is off by $off"; fi
done

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
echo "monitoring: promtool takes the dashboard's queries and the alerts, from the file and as Helm renders them; each does what its test says"
