#!/usr/bin/env bash
# Starts a real etcd and a real kube-apiserver on loopback ports, for tests.
#
#   tests/control-plane/up.sh [DIR]      (stop with: tests/control-plane/down.sh DIR)
#
# DIR (made if missing; a new folder under TMPDIR if not given) then holds:
#   kubeconfig           admin (group system:masters), with the server's own CA
#   admin.token, tokens.csv
#   pids                 one "PID NAME" a line, kube-apiserver first
#   etcd.log, kube-apiserver.log, certs/, sa.key, sa.pub, etcd-data (names the data's folder)
# All progress goes to stderr; the last line on stdout is the path of the kubeconfig.
# On a DIR whose server is up already, this only prints that path.
#
# Settings (all optional):
#   CONTROL_PLANE_BIN            folder with etcd, kube-apiserver and kubectl (else install.sh finds or makes them)
#   CONTROL_PLANE_TOKENS         file with more lines for the token file: token,user,uid,"group1,group2"
#   CONTROL_PLANE_APISERVER_ARGS more flags for kube-apiserver, separated by spaces
#   CONTROL_PLANE_UP_TIMEOUT     seconds that one start may take until /readyz says ok (default 60)
#
# There is no controller manager: deleted namespaces stay Terminating, and owned objects are not collected.
set -euo pipefail

say() { printf 'control-plane: %s\n' "$*" >&2; }
die() {
  printf 'control-plane: error: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf 'control-plane:   %s\n' "$line" >&2; done
  exit 1
}

case "${1-}" in
  -h | --help)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
  -*) die "unknown option $1" "usage: ${0##*/} [DIR]" ;;
esac
[ $# -le 1 ] || die "too many arguments" "usage: ${0##*/} [DIR]"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
timeout_s=${CONTROL_PLANE_UP_TIMEOUT:-60}
case $timeout_s in
  '' | *[!0-9]*) die "CONTROL_PLANE_UP_TIMEOUT is '$timeout_s', not a whole number of seconds" "Set it to a number such as 60, or unset it." ;;
esac
for tool in openssl setsid flock; do
  command -v "$tool" >/dev/null || die "the program '$tool' is missing" "On Debian: apt-get install openssl util-linux"
done

# The programs.
if [ -n "${CONTROL_PLANE_BIN:-}" ]; then
  bin=$CONTROL_PLANE_BIN
  for prog in etcd kube-apiserver kubectl; do
    [ -x "$bin/$prog" ] || die "CONTROL_PLANE_BIN is '$bin', where no program '$prog' is" \
      "Unset CONTROL_PLANE_BIN to have install.sh find or make it, or point it at a complete folder."
  done
else
  bin=$("$here/install.sh" | tail -n 1) || die "install.sh could not provide the programs" "What it said stands above."
fi

# The folder.
if [ $# -eq 1 ]; then
  [ -n "$1" ] || die "DIR is empty" "usage: ${0##*/} [DIR]"
  mkdir -p "$1" || die "cannot make the folder '$1'" "Choose a folder that you may write to."
  dir=$(cd "$1" && pwd -P)
else
  dir=$(mktemp -d "${TMPDIR:-/tmp}/control-plane.XXXXXX")
fi
[ -w "$dir" ] || die "cannot write to '$dir'" "Choose a folder that you may write to."
chmod 700 "$dir"
kubeconfig=$dir/kubeconfig

# One up.sh or down.sh at a time for one folder.
exec 8>"$dir/.lock"
flock -n 8 || { say "another up.sh or down.sh works on $dir: waiting"; flock -w 120 8 || die "still locked after 120 s: $dir/.lock" "Choose another DIR."; }

readyz() { # says ok when the server is ready and its first namespace, which it makes just after, is there
  local kubectl=(timeout 5 "$bin/kubectl" --kubeconfig "$kubeconfig" --request-timeout=4s get --raw)
  "${kubectl[@]}" /api/v1/namespaces/default >/dev/null 2>&1 && "${kubectl[@]}" /readyz 2>/dev/null
}
# Only ours: a process's number is used again in time, so the command line must name the folder or etcd's data.
ours() {
  local data=$dir/etcd
  [ ! -s "$dir/etcd-data" ] || read -r data <"$dir/etcd-data"
  tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | grep -F -e "$dir/" -e "$data" >/dev/null
}

if [ -s "$dir/pids" ]; then
  alive=0
  while read -r pid _; do ours "$pid" && alive=$((alive + 1)); done <"$dir/pids"
  if [ "$alive" -eq 2 ] && [ "$(readyz)" = ok ]; then
    say "already up in $dir"
    printf '%s\n' "$kubeconfig"
    exit 0
  fi
  say "clearing what an earlier run left in $dir"
  "$here/down.sh" --locked "$dir" >&2
fi
rm -rf "$dir/certs" "$kubeconfig" "$dir/pids"
mkdir -p "$dir/certs"

# etcd's data: on a memory file system where there is one with room (its log alone takes 128 MB).
data=$dir/etcd
if [ -d /dev/shm ] && [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR==2 {print $4}')" -ge 524288 ]; then
  data=$(mktemp -d /dev/shm/genesys-oauth-operator-etcd.XXXXXX)
fi
printf '%s\n' "$data" >"$dir/etcd-data"

umask 077
openssl genrsa -out "$dir/sa.key" 2048 2>/dev/null
openssl rsa -in "$dir/sa.key" -pubout -out "$dir/sa.pub" 2>/dev/null
token=$(openssl rand -hex 16)
printf '%s\n' "$token" >"$dir/admin.token"
printf '%s,admin,admin,"system:masters"\n' "$token" >"$dir/tokens.csv"
if [ -n "${CONTROL_PLANE_TOKENS:-}" ]; then
  [ -r "$CONTROL_PLANE_TOKENS" ] || die "CONTROL_PLANE_TOKENS is '$CONTROL_PLANE_TOKENS', which cannot be read" "Give a file with lines: token,user,uid,\"group\""
  cat "$CONTROL_PLANE_TOKENS" >>"$dir/tokens.csv"
fi

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Below the range from which the kernel serves outgoing connections, so that none of those sits there.
free_port() {
  local port try
  for try in {1..50}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    taken "$port" || { printf '%s\n' "$port"; return; }
  done
  die "no free port found between 20000 and 32000 in $try tries" "See what listens: ss -ltn"
}
start() { # NAME PROGRAM ARG... : sets $started
  local name=$1
  shift
  setsid nohup "$@" </dev/null >"$dir/$name.log" 2>&1 8>&- &
  started=$!
  disown "$started"
}
running() { kill -0 "$1" 2>/dev/null; }
stop() { # PID...
  local pid
  for pid in "$@"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "$@"; do while running "$pid"; do sleep 0.05; done; done
}
show_log() {
  say "the last lines of $dir/$1.log:"
  tail -n 20 "$dir/$1.log" | cut -c 1-300 | sed 's/^/    /' >&2
}

etcd_pid='' api_pid=''
# shellcheck disable=SC2317,SC2329  # called by the trap
undo() {
  local rc=$?
  trap - EXIT INT TERM
  if [ "$rc" -ne 0 ]; then
    [ -z "$api_pid" ] || stop "$api_pid"
    [ -z "$etcd_pid" ] || stop "$etcd_pid"
    rm -rf "$data" "$dir/pids" "$dir/etcd-data" "$kubeconfig"
  fi
  exit "$rc"
}
trap undo EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

read -r -a extra <<<"${CONTROL_PLANE_APISERVER_ARGS:-}"
for attempt in 1 2 3 4 5; do
  etcd_port=$(free_port)
  api_port=$(free_port)
  [ "$etcd_port" != "$api_port" ] || continue
  begun=$SECONDS
  rm -rf "$data"
  mkdir -p "$data"
  rm -f "$dir"/certs/*
  start etcd "$bin/etcd" --name default --data-dir "$data" --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
    --listen-peer-urls http://127.0.0.1:0
  etcd_pid=$started
  start kube-apiserver "$bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
    --secure-port "$api_port" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --endpoint-reconciler-type=none \
    --cert-dir "$dir/certs" --service-account-key-file "$dir/sa.pub" \
    --service-account-signing-key-file "$dir/sa.key" --service-account-issuer=https://kubernetes.default.svc \
    --token-auth-file "$dir/tokens.csv" --authorization-mode=RBAC --service-cluster-ip-range=10.0.0.0/24 \
    --disable-admission-plugins=ServiceAccount "${extra[@]}"
  api_pid=$started
  printf '%s kube-apiserver\n%s etcd\n' "$api_pid" "$etcd_pid" >"$dir/pids"

  failed=''
  until [ -s "$kubeconfig" ] && [ "$(readyz)" = ok ]; do
    if ! running "$etcd_pid"; then
      failed=etcd
    elif ! running "$api_pid"; then
      failed=kube-apiserver
    elif [ $((SECONDS - begun)) -ge "$timeout_s" ]; then
      failed=timeout
    fi
    [ -z "$failed" ] || break
    if [ ! -s "$kubeconfig" ] && [ -s "$dir/certs/apiserver.crt" ] && taken "$api_port"; then
      cat >"$kubeconfig.new" <<END
apiVersion: v1
kind: Config
current-context: control-plane
clusters:
- name: control-plane
  cluster:
    server: https://127.0.0.1:$api_port
    certificate-authority-data: $(base64 <"$dir/certs/apiserver.crt" | tr -d '\n')
users:
- name: admin
  user:
    token: "$token"
contexts:
- name: control-plane
  context:
    cluster: control-plane
    user: admin
END
      mv -f "$kubeconfig.new" "$kubeconfig"
    fi
    sleep 0.1
  done
  # A stranger on the port would have answered without our token file, so ours must be running.
  if [ -z "$failed" ] && running "$etcd_pid" && running "$api_pid"; then
    trap - EXIT INT TERM
    say "$("$bin/kube-apiserver" --version) is ready on https://127.0.0.1:$api_port after $((SECONDS - begun)) s; stop with: $(printf '%q %q' "$here/down.sh" "$dir")"
    printf '%s\n' "$kubeconfig"
    exit 0
  fi
  stop "$api_pid" "$etcd_pid"
  rm -f "$kubeconfig"
  case $failed in
    etcd | kube-apiserver)
      if grep -q 'address already in use' "$dir/$failed.log"; then
        say "a port was taken meanwhile ($failed), trying others (attempt $attempt of 5)"
        continue
      fi
      show_log "$failed"
      die "$failed stopped during its start" "The whole log: $dir/$failed.log"
      ;;
    timeout)
      show_log etcd
      show_log kube-apiserver
      die "the server was not ready within $timeout_s s" "On a slow machine, set CONTROL_PLANE_UP_TIMEOUT to more seconds and try again."
      ;;
    *) say "a server stopped just after its start (attempt $attempt of 5)" ;;
  esac
done
show_log etcd
show_log kube-apiserver
die "the servers did not start in 5 attempts" "The logs are in $dir"
