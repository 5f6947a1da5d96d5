-- Make a new revision. The log entry of the write is unique, so its digest identifies the write: see parts/strayed.
local function bump(entry)
    local revision = redis.call('HINCRBY', base, 'revision', 1)
    redis.call('XADD', key'events', 'MAXLEN', '~', 1000, revision .. '-0', 'by', redis.sha1hex(entry))
    return revision
end
