#!/usr/bin/env bash
# Lints the chart and renders it with Helm 3 and Helm 4; both must give what tests/chart/golden holds.
#
#   tests/chart/run.sh            check
#   tests/chart/run.sh --write    write the golden files anew
#
# install.sh finds or fetches both programs.
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
    for crd in crds/*.yaml; do
        # Everything but the head, which the chart labels.
        plain <"$crd" | sed -n '/^spec:/,$p' >"$work/spec"
        python3 - "$work/whole.$helm.yaml" "$work/spec" <<'END' || fail "$helm: the chart does not render $crd as it is: run make generate"
import sys
whole, spec = (open(path).read() for path in sys.argv[1:])
sys.exit(0 if spec in whole else 1)
END
    done
    if render "$helm" --set watchNamespace=oops >"$work/refused" 2>&1; then fail "$helm takes a value that does not exist"; fi
    if render "$helm" --set replicas=9 >"$work/refused" 2>&1; then fail "$helm takes nine replicas"; fi
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
echo "chart: Helm 3 and Helm 4 lint it, and render it as the golden files hold it"
