#!/usr/bin/env bash
# Lets the official Python SDK of Genesys Cloud manage OAuth clients on the simulator, and judges the simulator by it.
# Needs python3 with venv, and the package index on the first run. $SIMULATOR names a built simulator; without it one is built.
# The last line is "N passed, N failed".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator}/sdk
python=$cache/venv/bin/python
stamp=$cache/requirements.txt

# The stamp is written last, so that an interrupted install is done again.
if ! [[ -x $python ]] || ! cmp -s "$here/requirements.txt" "$stamp"; then
  mkdir -p "$cache"
  rm -rf "$cache/venv" "$stamp"
  python3 -m venv "$cache/venv"
  "$python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$stamp"
fi

simulator=${SIMULATOR:-}
if [[ -z $simulator ]]; then
  (cd "$root" && cargo build --quiet -p genesys-cloud-simulator)
  simulator=${CARGO_TARGET_DIR:-$root/target}/debug/genesys-cloud-simulator
fi

work=$(mktemp -d)
pid=
cleanup() {
  if [[ -n $pid ]]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

# The SDK logs in often, and roles are given and used within one test.
SIMULATOR_OPERATOR_CLIENT_SECRET=sdk-test-secret "$simulator" --listen 127.0.0.1:0 \
  --login-requests-per-minute 0 --requests-per-minute 0 --role-propagation-milliseconds 0 >"$work/out" &
pid=$!
url=
for _ in $(seq 100); do
  url=$(sed -n 's/^listening on //p' "$work/out")
  [[ -n $url ]] && break
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
if [[ -z $url ]]; then
  echo "the simulator did not start" >&2
  echo "0 passed, 1 failed"
  exit 1
fi

# The SDK reads a configuration file in the home folder; a test must not.
HOME=$work SIMULATOR_URL=$url SIMULATOR_OPERATOR_CLIENT_SECRET=sdk-test-secret "$python" "$here/test_oauth_clients.py"
