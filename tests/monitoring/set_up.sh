#!/usr/bin/env bash
# Has Prometheus and promtool: the host's, else Debian's in a folder of their own. Installed, the package would start its
# service on this machine, and on each host that tests boot from it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

PATH=$PWD/build/monitoring/usr/bin:$PATH
extracted test-monitoring "prometheus promtool" prometheus build/monitoring
