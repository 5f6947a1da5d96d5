#!lua flags=no-writes,allow-stale
-- A cursor contains the generation, its starting revision, the last revision seen, and the digest of the write that
-- made the later of the two. Removals before the starting revision need not be reported.
local generation, start, after, limit, by = unpack(ARGV)
-- include parts/collection
-- include parts/strayed
start, after, limit = tonumber(start), tonumber(after), tonumber(limit)
local seen = math.max(start, after)
local fresh = generation ~= live or seen < tonumber(redis.call('HGET', base, 'trimmed')) or strayed(seen, by)
if fresh then start, after = tonumber(redis.call('HGET', base, 'revision')), 0 end
local function range(name, from)
    return redis.call('ZRANGEBYSCORE', key(name), '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
end
local come, gone = range('log', after), range('gone', math.max(start, after))
local changes, i, j = {}, 1, 1
while #changes < limit and (come[i] or gone[j]) do
    if come[i] and not (gone[j] and tonumber(gone[j + 1]) < tonumber(come[i + 1])) then
        local template, record = come[i], redis.call('HGET', key't', come[i])
        local subject = redis.call('HGET', key's', cjson.decode(record).subject)
        changes[#changes + 1] = {template, record, subject, redis.call('HGET', key('e:' .. live), template)}
        after, i = tonumber(come[i + 1]), i + 2
    else
        changes[#changes + 1] = {gone[j]}
        after, j = tonumber(gone[j + 1]), j + 2
    end
end
local secret = redis.call('HGET', base, 'secret') or ''
return {'ok', fresh and 1 or 0, live, start, after, maker(math.max(start, after)),
        redis.call('HGETALL', key('g:' .. live)), secret, changes}
