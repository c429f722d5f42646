#!/usr/bin/env bash
# Makes the certificates by which a test of the transport tells good servers from bad ones: an authority, and servers of it that share one
# key. They are good for nothing else: the authority's key is thrown away.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
from=20200101000000Z
until=21200101000000Z
for name in authority server; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$name.key"
done
openssl pkcs8 -topk8 -nocrypt -in "$work/server.key" -outform DER -out server-key.der
cat >"$work/ca.conf" <<CONF
[ca]
default_ca = test
[test]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
CONF
touch "$work/index"

# Signs a certificate: its file, its name, its extensions, from when until when, and by whom.
signed() {
    printf '%s\n' "${@:3:1}" >"$work/extensions"
    openssl req -new -key "$work/$6.key" -subj "/CN=$2" -config /dev/null -out "$work/request" 2>"$work/log"
    openssl ca -batch -notext -config "$work/ca.conf" -in "$work/request" -extfile "$work/extensions" -startdate "$4" -enddate "$5" \
        -out "$work/certificate" "${@:7}" 2>"$work/log"
    openssl x509 -in "$work/certificate" -outform DER -out "$1"
}
is_server() { printf 'basicConstraints=critical,CA:FALSE\nsubjectAltName=%s\n' "$1"; }

signed authority.der authority basicConstraints=critical,CA:TRUE "$from" "$until" authority -selfsign -keyfile "$work/authority.key"
openssl x509 -inform DER -in authority.der -out "$work/authority.pem"
by_authority=(-cert "$work/authority.pem" -keyfile "$work/authority.key")
signed good.der server "$(is_server IP:127.0.0.1)" "$from" "$until" server "${by_authority[@]}"
signed self-signed.der server "$(is_server IP:127.0.0.1)" "$from" "$until" server -selfsign -keyfile "$work/server.key"
signed other-host.der server "$(is_server DNS:api.mypurecloud.com)" "$from" "$until" server "${by_authority[@]}"
signed expired.der server "$(is_server IP:127.0.0.1)" "$from" 20210101000000Z server "${by_authority[@]}"
signed not-yet-valid.der server "$(is_server IP:127.0.0.1)" 21190101000000Z "$until" server "${by_authority[@]}"
