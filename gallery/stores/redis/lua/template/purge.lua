#!lua flags=allow-oom
local now, memory, limit, entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/remove
local templates = redis.call('ZRANGEBYSCORE', key'expiry', '-inf', now, 'LIMIT', 0, limit)
local subjects = 0
for _, template in ipairs(templates) do
    local owner = remove(template, entry)
    if redis.call('EXISTS', key('of:' .. owner)) == 0 then
        forget_subject(owner)
        subjects = subjects + 1
    end
end
settle(memory)
if #templates > 0 then log(entry, #templates) end
return {'ok', #templates, subjects}
