#!lua
-- If guarded is 1, nothing is added if the collection has changed since the revision `seen`, made by the write `by`.
local subject, fields, subject_created,
    template, record, clip, expires, fingerprint, parts, dims, embedding, leaf, sequence,
    secret, entry,
    guarded, generation, seen, by = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/bump
-- include parts/upsert
-- include parts/apart
-- include parts/strayed
local there = redis.call('HGET', key's', subject)
if secret ~= (redis.call('HGET', base, 'secret') or '')
    or there and cjson.decode(there).key ~= cjson.decode(fields).key then return {'key'} end
local pinned = redis.call('HMGET', key('g:' .. live), 'fingerprint', 'parts', 'dims')
if pinned[1] then
    if pinned[1] ~= fingerprint then return {'fingerprint', pinned[1]} end
    if pinned[2] ~= parts or pinned[3] ~= dims then return {'shape', pinned[2], pinned[3]} end
end
local existing = redis.call('HEXISTS', key't', template) == 1 and template
    or clip ~= '' and redis.call('HGET', key'clips', clip)
if existing then
    redis.call('HINCRBY', base, 'touched', 1)  -- a write of our own: once it is on disk, so is the template found here
    local found = redis.call('HGET', key't', existing)
    local owner = cjson.decode(found).subject
    if owner ~= subject then return {existing == template and 'id' or 'clip', owner, existing} end
    return {'known', existing, found}
end
if guarded == '1' then
    local after = '(' .. seen
    if generation ~= live or strayed(tonumber(seen), by) or redis.call('ZCOUNT', key'log', after, '+inf') > 0
        or redis.call('ZCOUNT', key'gone', after, '+inf') > 0 then return {'overtaken'} end
end
redis.call('HSET', key('g:' .. live), 'fingerprint', fingerprint, 'parts', parts, 'dims', dims)
upsert(subject, fields, subject_created)
forget_apart(subject)
log(entry, 1)
local revision = bump(entry)
redis.call('HSET', key't', template, record)
redis.call('HSET', key'q', template, sequence)
redis.call('HSET', key('e:' .. live), template, embedding)
redis.call('HSET', key('leaves:' .. live), template, leaf)
redis.call('ZADD', key('of:' .. subject), revision, template)
redis.call('ZADD', key'log', revision, template)
if clip ~= '' then redis.call('HSET', key'clips', clip, template) end
if expires ~= '' then redis.call('ZADD', key'expiry', expires, template) end
if shadow then redis.call('ZADD', key'todo', revision, template) end
return {'new'}
