#!/bin/sh
# redis.sh PASSWORD_FILE SCRATCH DATA [OPTION...]: Redis as the gallery wants it, see docs/gallery.md.
# It learns the password's digest from a file of its own; the password is in no environment and no list of processes.
# Whoever comes without it may ask whether the server lives, and nothing else.
set -eu
umask 077
digest=$(tr -d '\r\n' <"$1" | sha256sum | cut -d' ' -f1)
cat >"$2/users.acl" <<END
user default on nopass resetkeys resetchannels -@all +ping
user gaitkeeper on #$digest resetchannels ~gaitkeeper:* -@all +@read +@write +@scripting +@connection -@dangerous +info +config|get +bgrewriteaof +bgsave
END
acl=$2/users.acl data=$3
shift 3
exec redis-server --aclfile "$acl" --dir "$data" --appendonly yes --appendfsync always --save '' \
    --maxmemory-policy noeviction "$@"
