#!/usr/bin/env bash
# Write constraints.txt: every version installed now, for the CPU set-up. Usage: scripts/lock.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
new=$(mktemp constraints.XXXX)
trap 'rm -f "$new"' EXIT
{
    echo "# Versions that the tests passed with; written by \`make lock\`. Used by scripts/setup.sh."
    "$1" -m pip freeze --exclude-editable | sed 's/+cpu$//' | grep -v ' @ '
} >"$new"
mv "$new" constraints.txt
