#!/bin/sh
# After the files are gone. dpkg says `remove` or `purge`, rpm how many versions are left.
set -e

forget() {
  rm -rf /var/lib/remote-agent
  rm -f /etc/remote-agent/token /etc/remote-agent/agent.env
  rm -f /etc/systemd/system/remote-agent.service /etc/systemd/system/remote-agent-jobs.service
  rm -f /etc/systemd/system/remote-agent.service.d/profile.conf
  # What is not ours stays in them.
  for folder in /etc/remote-agent /etc/systemd/system/remote-agent.service.d; do
    if [ -d "$folder" ]; then rmdir --ignore-fail-on-non-empty "$folder"; fi
  done
  # By its comment we know the account for ours.
  if getent passwd remote-agent | grep -q ':remote-agent service:'; then
    userdel remote-agent || echo "remote-agent: the account remote-agent stays"
  fi
}

case "$1" in
  remove | 0) rm -rf /var/lib/remote-agent-program ;; # what the binary has unpacked
  purge) forget ;;
  *) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl reset-failed 'remote-agent*' || true
fi
