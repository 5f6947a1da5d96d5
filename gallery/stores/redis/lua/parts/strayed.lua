-- After a failover to a replica that lacks the last writes, other writes get the same revisions. The digest of the
-- write that made a revision distinguishes the two, as long as the stream contains it.
local function maker(revision)
    local event = redis.call('XRANGE', key'events', revision .. '-0', revision .. '-0')[1]
    return event and event[2][2] or ''
end
local function strayed(revision, by)
    if revision > tonumber(redis.call('HGET', base, 'revision')) then return true end
    local now = maker(revision)
    return by ~= '' and now ~= '' and by ~= now
end
