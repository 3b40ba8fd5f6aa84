#!/usr/bin/env bash
# Renders the raw manifests from the charts: bash installers/kubernetes/render.sh [FOLDER]. HELM names another helm.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
folder=${1:-$here/manifests}
for program in agent server; do
  {
    echo "# Rendered from the chart remote-$program and $program.values.yaml by installers/kubernetes/render.sh: change those."
    "${HELM:-helm}" template "remote-$program" "$here/charts/remote-$program" --namespace remote \
      --values "$here/manifests/$program.values.yaml"
  } >"$folder/$program.yaml"
done
