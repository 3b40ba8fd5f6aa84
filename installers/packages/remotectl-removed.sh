#!/bin/sh
# After the files are gone. dpkg says `remove`, rpm how many versions are left.
set -e
case "$1" in
  remove | 0) rm -rf /var/cache/remotectl-program ;; # what the binary has unpacked for root
esac
