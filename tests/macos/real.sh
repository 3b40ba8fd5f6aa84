#!/usr/bin/env bash
# What no other system can show, on a real Mac: the service as a daemon of launchd, and as an agent of the session where
# there is one. `real.sh BIN URL` with the programs' folder, the server's address, and REMOTE_TOKEN, an admin's token. The
# user may call sudo, and the host has no remote-agent; nothing is left. Exit code 0 when all of it held.
set -euo pipefail
bin=$(cd "$1" && pwd) url=$2
export REMOTE_URL=$url
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

holds() {
  echo "holds    $*"
}

# within WHAT COMMAND …: waits until the command succeeds.
within() {
  local what=$1
  shift
  for _ in $(seq 300); do
    "$@" && { holds "$what"; return; }
    sleep 0.2
  done
  echo "did not happen within 60 s: $what" >&2
  return 1
}

pid() { "${root[@]}" launchctl print "$target" | sed -n 's/^\tpid = //p'; }
another() { local now; now=$(pid) && [ -n "$now" ] && [ "$now" != "$1" ]; }
resting() { "${root[@]}" launchctl print "$target" | grep -q '^\tstate = not running'; }
state() { "$bin/remotectl" job show "$1" --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'; }
is() { [ "$(state "$1")" = "$2" ]; }

# life: of one kind of the service, from nothing to nothing.
life() {
  rm -f "$folder/token"
  "$bin/remotectl" registration-token create --allow-replace --output-file "$folder/token"
  "${root[@]}" "$bin/remote-agent" service install --server "$url" --token-file "$folder/token" "$@"
  plutil -lint "$list"
  "${root[@]}" launchctl print "$target" | grep -q '^\tstate = running'
  holds "launchd runs $target"

  local job before name
  job=$("$bin/remotectl" run --detach -- sh -c 'i=0; while [ $i -lt 150 ]; do i=$((i+1)); echo $i; sleep 0.2; done')
  within "a job runs" is "$job" running
  before=$(pid)
  "${root[@]}" kill -9 "$before"
  within "launchd starts a killed agent again" another "$before"
  "${root[@]}" "$bin/remote-agent" service restart
  within "its job runs on" is "$job" succeeded
  [ "$("$bin/remotectl" job logs "$job")" = "$(seq 150)" ]
  holds "its log is whole"

  name=$("$bin/remotectl" agent list -q)
  "$bin/remotectl" agent rotate-token "$name" >"$folder/token"
  within "launchd leaves an agent alone whose token is refused" resting
  "${root[@]}" "$bin/remote-agent" service uninstall
  [ ! -e "$list" ] && ! "${root[@]}" launchctl print "$target" 2>/dev/null
  holds "$target is gone"
  "$bin/remotectl" agent delete "$name"
}

root=(sudo) target=system/remote-agent list=/Library/LaunchDaemons/remote-agent.plist
life --user "$(id -un)"

root=() target=gui/$(id -u)/remote-agent list=$HOME/Library/LaunchAgents/remote-agent.plist
if launchctl print "gui/$(id -u)" >/dev/null 2>&1; then
  life
else
  echo "left out: nobody is logged in at the screen, so there is no session for an agent"
fi
