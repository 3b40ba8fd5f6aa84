#!/usr/bin/env bash
# Has Prometheus and promtool, Debian's; their service is not started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

if [ "$(lacking prometheus promtool)" ]; then
  as_root test-monitoring "installs Prometheus"
  have test-monitoring "prometheus promtool" "prometheus"
fi
