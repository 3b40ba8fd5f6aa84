#!/usr/bin/env bash
# Has a container engine that does not run, for tasks in containers, and in build/airflow-image what their image has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

as_root test-airflow "runs a container engine of its own"
have test-airflow "/usr/bin/docker dockerd containerd iptables ip unshare" "docker.io iptables iproute2 util-linux"
folder=build/airflow-image
if [ ! -x "$folder/bin/busybox" ]; then
  mkdir -p build
  again extract_package busybox-static "$folder"
fi
