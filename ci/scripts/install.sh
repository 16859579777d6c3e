#!/usr/bin/env bash
# Installs the workbench into the python of the PATH.
#
#   WORKBENCH_PACKAGE        what pip installs; none: the checkout that this script lies in
#   WORKBENCH_PIP_ARGUMENTS  more arguments of pip, split at white space; no quotes, no patterns
set -euo pipefail

package=${WORKBENCH_PACKAGE:-}
if [ -z "$package" ]; then
    package=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fi
arguments=()
if [ -n "${WORKBENCH_PIP_ARGUMENTS:-}" ]; then
    read -r -d '' -a arguments < <(printf '%s\0' "$WORKBENCH_PIP_ARGUMENTS") || true
fi
python -m pip install --disable-pip-version-check ${arguments[@]+"${arguments[@]}"} -- "$package"
