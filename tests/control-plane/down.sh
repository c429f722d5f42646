#!/usr/bin/env bash
# Stops what `up.sh DIR` started, and removes etcd's data. The logs and the other files of DIR stay.
#
#   tests/control-plane/down.sh DIR
#
# Says on stderr what it does; a DIR where nothing runs is fine (exit status 0).
set -euo pipefail

say() { printf 'control-plane: %s\n' "$*" >&2; }
die() {
  printf 'control-plane: error: %s\ncontrol-plane:   %s\n' "$1" "$2" >&2
  exit 1
}

locked=false # up.sh calls it with --locked while it holds the folder's lock itself
if [ "${1-}" = --locked ]; then
  locked=true
  shift
fi
case "${1-}" in
  -h | --help)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
esac
[ $# -eq 1 ] && [ -n "$1" ] || die "one argument is needed: the DIR that was given to up.sh" "usage: ${0##*/} DIR"
[ -d "$1" ] || die "there is no folder '$1'" "Give the DIR that was given to up.sh (the folder of its kubeconfig)."
dir=$(cd "$1" && pwd -P)

if ! $locked; then
  exec 8>"$dir/.lock"
  flock -w 120 8 || die "another up.sh or down.sh holds $dir/.lock since 120 s" "See what it is: fuser -v $dir/.lock"
fi

# Only ours: a process's number is used again in time, so the command line must name the folder (or etcd's data).
data=''
[ ! -s "$dir/etcd-data" ] || read -r data <"$dir/etcd-data"
ours() {
  local line
  line=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1
  case $line in *"$dir/"*) return 0 ;; esac
  [ -n "$data" ] && case $line in *"$data"*) return 0 ;; esac
  return 1
}

stopped=0
if [ -s "$dir/pids" ]; then
  while read -r pid name; do # kube-apiserver first, so that it does not miss its etcd
    case $pid in '' | *[!0-9]*) continue ;; esac
    ours "$pid" || continue
    kill -TERM "$pid" 2>/dev/null || continue
    for _ in {1..30}; do # open watches keep kube-apiserver for a minute: not waited for
      ours "$pid" || break
      sleep 0.1
    done
    if ours "$pid"; then
      kill -KILL "$pid" 2>/dev/null || true
      for _ in {1..50}; do
        ours "$pid" || break
        sleep 0.1
      done
      ! ours "$pid" || die "$name (process $pid) is still there after SIGKILL" "Look at it with: ps -fp $pid"
    fi
    stopped=$((stopped + 1))
  done <"$dir/pids"
  rm -f "$dir/pids"
fi

case $data in
  "$dir/etcd" | /dev/shm/genesys-oauth-operator-etcd.??????) rm -rf "$data" ;;
  '') ;;
  *) say "left alone, since up.sh does not name it so: $data" ;;
esac
rm -f "$dir/etcd-data" "$dir/kubeconfig"
say "stopped $stopped of 2 in $dir"
