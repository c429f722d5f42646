#!/usr/bin/env bash
# Runs the conformance suite on the in-memory Kubernetes API and on a real kube-apiserver, and stops both. "make control-plane"
# must have been run; CONTROL_PLANE_BIN names its programs.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
pid=
finish() {
    [[ -z $pid ]] || kill "$pid" 2>/dev/null || true
    tests/control-plane/down.sh "$work/real" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

bin=$(tests/control-plane/install.sh)
cargo build --locked --quiet --package genesys-cloud-simulator --package genesys-oauth-operator-conformance --bins
target=${CARGO_TARGET_DIR:-target}/debug

"$target/kubernetes-simulator" --kubeconfig "$work/memory" >"$work/memory.log" 2>&1 &
pid=$!
for _ in $(seq 100); do
    grep -q '^ready' "$work/memory.log" && break
    kill -0 "$pid" 2>/dev/null || { cat "$work/memory.log" >&2; exit 1; }
    sleep 0.1
done
echo "conformance of the in-memory API:"
"$target/conformance" --kubeconfig "$work/memory" --kubectl "$bin/kubectl" "$@"

echo "conformance of the real kube-apiserver:"
kubeconfig=$(tests/control-plane/up.sh "$work/real" | tail -n 1)
"$target/conformance" --kubeconfig "$kubeconfig" --kubectl "$bin/kubectl" "$@"
