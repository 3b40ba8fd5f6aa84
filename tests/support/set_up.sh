# shellcheck shell=bash
# Sourced by the set_up.sh of tests that need more than Python: programs of Debian's packages, and what is downloaded.

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# leave_out STAGE: how it is left out.
leave_out() {
  local name=${1^^}
  printf 'REMOTE_%s=off leaves it out' "${name//-/_}"
}

# as_root STAGE WHAT: refuses to go on as another user.
as_root() {
  if [ "$(id -u)" != 0 ]; then
    echo "make: $1 $2, which takes root ($(leave_out "$1"))" >&2
    return 1
  fi
}

# again COMMAND …: runs it until it succeeds, four times at the most. A package index may not answer for a moment.
again() {
  local pause code
  for pause in 5 15 45; do
    "$@" && return
    echo "make: this has failed, and is tried again in $pause s: $*" >&2
    sleep "$pause"
  done
  "$@" && return
  code=$?
  echo "make: this has failed four times: $*
make: is the package index reachable (network, proxy), and is there room on the disk? Then repeat the command." >&2
  return "$code"
}

# have STAGE "PROGRAM …" "PACKAGE …": installs the packages if one of the programs is not there. No service is started.
have() {
  local stage=$1 programs packages missing
  read -ra programs <<<"$2"
  read -ra packages <<<"$3"
  missing=$(lacking "${programs[@]}")
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "make: $stage needs$missing; install them ($(leave_out "$stage"))" >&2
    return 1
  fi
  echo "make: $stage needs$missing; installing ${packages[*]}"
  # One stage after the other; for programs that are none of ours, apt itself waits.
  exec 9</var/lib/dpkg
  flock 9
  again install_packages "${packages[@]}"
  exec 9<&-
  missing=$(lacking "${programs[@]}")
  if [ -n "$missing" ]; then
    echo "make: $stage still lacks$missing, though ${packages[*]} are installed" >&2
    return 1
  fi
}

# extracted STAGE "PROGRAM …" PACKAGE FOLDER: extracts Debian's package below the folder, which is in PATH, if one of the
# programs is not there. What the package needs besides the C library is not fetched, and nothing of it is installed.
extracted() {
  local stage=$1 programs package=$3 folder=$4 missing
  read -ra programs <<<"$2"
  missing=$(lacking "${programs[@]}")
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "make: $stage needs$missing; install them ($(leave_out "$stage"))" >&2
    return 1
  fi
  echo "make: $stage needs$missing; extracting $package into $folder"
  again extract_package "$package" "$folder"
  missing=$(lacking "${programs[@]}")
  if [ -n "$missing" ]; then
    echo "make: $stage still lacks$missing, though $package is in $folder" >&2
    return 1
  fi
}

# base_image STAGE FILE PACKAGE,…: has in the file, a tar, a Debian 12 with little more than these packages.
base_image() {
  local stage=$1 file=$2 packages=$3
  [ ! -e "$file" ] || return 0
  echo "make: $stage makes a base image"
  again make_base "$file.new.tar" "$packages"
  mv "$file.new.tar" "$file"
}

make_base() {
  local sources=() file
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -s "$file" ] && { sources=("$file"); break; }
  done
  rm -f "$1"
  mmdebstrap --quiet --variant=essential "--include=$2" bookworm "$1" "${sources[@]}"
}

# lacking PROGRAM …: prints those that are not there.
lacking() {
  local program
  for program; do
    command -v "$program" >/dev/null || printf ' %s' "${program##*/}"
  done
}

install_packages() (
  export DEBIAN_FRONTEND=noninteractive
  # Else a package starts its service, at all addresses of this machine (invoke-rc.d(8)).
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 9<&- >/dev/null; }
  apt install -y --no-install-recommends "$@" 2>/dev/null && exit
  # A run that was killed may have left half of a package; lists may be missing or old. A source that has nothing to do
  # with these packages may be away for good: whether they can be had is for the installation to say.
  dpkg --configure -a 9<&- >/dev/null || true
  apt update || true
  apt install -y --no-install-recommends "$@"
)

extract_package() (
  new=$2.new-$$
  rm -rf "$new"
  trap 'rm -rf "$new"' EXIT
  mkdir -p "$new/root"
  fetch() (cd "$new" && apt-get -qq -o APT::Sandbox::User=root download "$1" >/dev/null)
  # Where lists are missing or old they are read again, which takes root.
  fetch "$1" 2>/dev/null || {
    apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null || true
    fetch "$1"
  } || exit
  # Only what is whole gets its place.
  dpkg-deb -x "$new"/*.deb "$new/root" && rm -rf "$2" && mv "$new/root" "$2"
)
