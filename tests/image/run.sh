#!/usr/bin/env bash
# Runs the program of the image as a pod would: in the image's files alone, read-only, as user 65532 without a capability, in a network
# of its own whose names a DNS server answers. Builds nothing: `make image-test` does.
#
# The namespaces need no root; where the machine allows none, CI fails and a contributor is told that this was not tried.
set -euo pipefail
cd "$(dirname "$0")/../.."

namespaces=(unshare --user --map-user=65532 --map-group=65532 --keep-caps --net --mount --pid --mount-proc --fork --kill-child)
if ! "${namespaces[@]}" true 2>/dev/null; then
    echo "image: this machine allows no namespaces to $(id --user --name): the image's program WAS NOT TRIED in the image's files" >&2
    [[ -z ${CI:-} ]] || exit 1
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp --recursive target/image/root "$work/root"
if [[ $(find "$work/root" -type f -printf '%P\n' | sort | tr '\n' ' ') != 'etc/ssl/certs/ca-certificates.crt genesys-oauth-operator ' ]]; then
    find "$work/root" -type f >&2
    echo "image: error: the image is to hold the program, certificates, and nothing else" >&2
    exit 1
fi
if readelf --program-headers "$work/root/genesys-oauth-operator" | grep -q INTERP; then
    echo "image: error: the program needs libraries, and the image has none" >&2
    exit 1
fi
"${namespaces[@]}" python3 tests/image/pod.py "$work"
