#!/usr/bin/env bash
# Runs a command that may use Wine as tests/windows/wine.py does: `run.sh COMMAND …`, after set_up.sh. Mounts and
# processes are in namespaces of their own: whatever Wine starts ends with COMMAND, and with whoever has called this.
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$checkout"
exec 8>"build/windows/lock"
flock 8
# The first process of its namespace (sh) takes care of orphans.
exec setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc bash -c '
  set -eu
  checkout=$1 folder=$1/build/windows system=${REMOTE_WINE_SYSTEM:-run/system}
  shift
  mount --rbind /dev "$folder/root/dev"
  mount --rbind /proc "$folder/root/proc"
  mount -t tmpfs tmpfs "$folder/root/tmp"
  mkdir -p "$folder/root$checkout"
  if [ "$system" = run/system ]; then
    # What a run changes of the Windows system goes with it.
    rm -rf "$folder/run"
    mkdir -p "$folder/run/system" "$folder/run/changed" "$folder/run/work"
    mount -t overlay -o "lowerdir=$folder/system,upperdir=$folder/run/changed,workdir=$folder/run/work" \
      overlay "$folder/run/system"
  fi
  mount --rbind "$checkout" "$folder/root$checkout"
  export REMOTE_WINE_SYSTEM=$folder/$system
  code=0
  "$@" || code=$?
  exit "$code"
' bash "$checkout" "$@"
