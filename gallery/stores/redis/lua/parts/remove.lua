-- include parts/bump
-- include parts/drop_shadow
-- include parts/apart
local function remove(template, entry)
    local record = cjson.decode(redis.call('HGET', key't', template))
    redis.call('HDEL', key't', template)
    redis.call('HDEL', key'q', template)
    redis.call('HDEL', key('e:' .. live), template)
    redis.call('HDEL', key('leaves:' .. live), template)
    if shadow then
        redis.call('HDEL', key('e:' .. shadow), template)
        redis.call('HDEL', key('leaves:' .. shadow), template)
    end
    if record.clip_sha256 ~= cjson.null then
        redis.call('HDEL', key'clips', record.clip_sha256 .. ':' .. record.track)
    end
    redis.call('ZREM', key('of:' .. record.subject), template)
    redis.call('ZREM', key'log', template)
    redis.call('ZREM', key'expiry', template)
    redis.call('ZREM', key'todo', template)
    redis.call('ZADD', key'gone', bump(entry), template)
    return record.subject
end
-- Remember at most `memory` removed templates. A follower that is further behind must start anew.
local function settle(memory)
    local excess = redis.call('ZCARD', key'gone') - memory
    if excess > 0 then
        local last = redis.call('ZRANGE', key'gone', excess - 1, excess - 1, 'WITHSCORES')
        redis.call('HSET', base, 'trimmed', last[2])
        redis.call('ZREMRANGEBYRANK', key'gone', 0, excess - 1)
    end
    if redis.call('ZCARD', key'log') == 0 then
        redis.call('HDEL', key('g:' .. live), 'fingerprint', 'parts', 'dims')
        if shadow then drop_shadow() end
    end
end
-- include parts/forget_sighting
-- Returns the number of the subject's sightings, which go with it.
local function forget_subject(subject)
    forget_apart(subject)
    local sightings = redis.call('ZRANGE', key('sightsof:' .. subject), 0, -1)
    for _, sighting in ipairs(sightings) do forget_sighting(sighting) end
    redis.call('HDEL', key'pictures', subject)
    redis.call('HDEL', key's', subject)
    redis.call('ZREM', key'names', subject)
    return #sightings
end
