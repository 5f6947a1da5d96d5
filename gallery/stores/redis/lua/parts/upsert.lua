-- Write a subject's record. Absent fields keep their values, empty ones are deleted.
local function upsert(subject, fields, created)
    local record = cjson.decode(redis.call('HGET', key's', subject) or '{"metadata": "{}"}')
    for name, value in pairs(cjson.decode(fields)) do
        if value == '' then record[name] = nil else record[name] = value end
    end
    record.created = record.created or created
    redis.call('HSET', key's', subject, cjson.encode(record))
    redis.call('ZADD', key'names', 0, subject)
end
