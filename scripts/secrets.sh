#!/usr/bin/env bash
# Make what docker-compose.yml keeps secret, where it is not there yet. Usage: scripts/secrets.sh [FOLDER]
# The folder is closed to all but its owner. The files in it are readable, since containers run as users of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-secrets}
mkdir -p -m 700 "$folder"
chmod 700 "$folder"
for name in redis_password store_key grafana_password; do
    file=$folder/$name
    if [ -e "$file" ]; then
        echo "kept: $file"
        continue
    fi
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file"
    chmod 444 "$file"
    echo "made: $file"
done
echo "Back up $folder/store_key apart from the gallery: without it nobody can read the gallery."
