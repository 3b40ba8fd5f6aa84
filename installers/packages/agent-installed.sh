#!/bin/sh
# After the files are there. dpkg says `configure`, rpm how many versions there are now.
set -e
case "$1" in
  configure | [1-9]) ;;
  *) exit 0 ;; # dpkg takes back what did not succeed
esac

if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers remote-agent.conf
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if systemctl --quiet is-active remote-agent.service; then
    if systemctl --quiet is-enabled remote-agent.service; then
      # It restarts what runs another version, and writes anew what it wrote to /etc. Called by its
      # path, for the unit to name that: PATH may say /bin here. It does not wait for the connection:
      # a server that is away must not hold up the upgrade of a host.
      /usr/bin/remote-agent service install --deadline 0 || true
    else
      systemctl restart --no-block remote-agent.service
    fi
    exit 0
  fi
fi
# It starts when this host is registered, and not before.
if [ -e /var/lib/remote-agent/identity.json ]; then
  echo "remote-agent: this host is registered. Next, start the agent: remote-agent service install"
else
  echo "remote-agent: next, register this host and start the agent:"
  echo "  remote-agent service install --server https://SERVER --token-file FILE"
fi
