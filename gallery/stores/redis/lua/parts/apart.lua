-- The field `apart` of a subject's record contains the ids of the subjects that were said to be other people.
local function list_apart(subject)
    local record = redis.call('HGET', key's', subject)
    return record and cjson.decode(record).apart or {}
end
local function set_apart(subject, others)
    local record = cjson.decode(redis.call('HGET', key's', subject))
    record.apart = #others > 0 and others or nil
    redis.call('HSET', key's', subject, cjson.encode(record))
end
local function list_apart_without(subject, other)
    local others = {}
    for _, one in ipairs(list_apart(subject)) do
        if one ~= other then others[#others + 1] = one end
    end
    return others
end
local function forget_apart(subject)
    local others = list_apart(subject)
    for _, other in ipairs(others) do set_apart(other, list_apart_without(other, subject)) end
    if #others > 0 then set_apart(subject, {}) end
end
