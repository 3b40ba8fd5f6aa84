#!/usr/bin/env bash
# What `make bench-peers` needs besides Python: Redis, and an sshd for the command at the prompt.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh
have bench-peers "redis-server sshd ssh" "redis-server openssh-server openssh-client"
