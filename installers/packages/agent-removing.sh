#!/bin/sh
# Before the files go. dpkg says `remove`, rpm how many versions will be left.
set -e
case "$1" in
  remove | 0) ;;
  *) exit 0 ;; # an upgrade
esac

if [ -d /run/systemd/system ]; then
  if systemctl --quiet is-active remote-agent.service remote-agent-jobs.service; then
    /usr/bin/remote-agent service stop --now || true
  fi
  systemctl --quiet disable remote-agent.service || true
  systemctl stop remote-agent.slice || true
fi
if [ -e /var/lib/remote-agent/identity.json ]; then
  echo "remote-agent: /var/lib/remote-agent and /etc/remote-agent stay, and the server still lists this"
  echo "  host: remotectl agent delete NAME. (remote-agent service uninstall does both, before removal.)"
fi
