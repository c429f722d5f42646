#!/usr/bin/env bash
# Builds the program of the image twice, from two copies of what git tracks, in paths of different length and with a cargo home each,
# and compares the bytes. Takes two release builds; what cargo has downloaded is shared.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
home=${CARGO_HOME:-$HOME/.cargo}
copies=(a another/deeper/place)
# Both before the first build, which takes minutes: an edit meanwhile would make them differ.
for copy in "${copies[@]}"; do
    mkdir -p "$work/$copy/source" "$work/$copy/cargo"
    git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$work/$copy/source"
    for name in registry config.toml config bin; do
        [[ ! -e $home/$name ]] || ln -s "$home/$name" "$work/$copy/cargo/$name"
    done
done
for copy in "${copies[@]}"; do
    echo "reproduce: building in $work/$copy" >&2
    env -u CARGO_TARGET_DIR CARGO_HOME="$work/$copy/cargo" make --silent --directory "$work/$copy/source" image-root
done
first="$work/a/source/target/image/root/genesys-oauth-operator"
second="$work/another/deeper/place/source/target/image/root/genesys-oauth-operator"
sha256sum "$first" "$second" | sed "s|$work/||"
if grep --text --quiet --fixed-strings "$work" "$first"; then
    echo "reproduce: error: the program holds the path it was built in" >&2
    exit 1
fi
cmp "$first" "$second" || { echo "reproduce: error: two builds of the same sources differ" >&2; exit 1; }
echo "reproduce: two builds in two paths are the same $(stat --format=%s "$first") bytes"
