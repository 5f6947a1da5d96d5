#!lua
-- `subjects` is a JSON list with the id, old sealed key and new sealed key of every subject.
local old_secret, new_secret, audit_key, entry, subjects = unpack(ARGV)
-- include parts/collection
-- include parts/log
subjects = cjson.decode(subjects)
if redis.call('HGET', base, 'secret') ~= old_secret or redis.call('ZCARD', key'names') ~= #subjects then
    return {'key'}
end
local records = {}
for i, subject in ipairs(subjects) do
    local id, old_key, new_key = unpack(subject)
    local record = redis.call('HGET', key's', id)
    if not record then return {'key'} end
    record = cjson.decode(record)
    if record.key ~= old_key then return {'key'} end
    record.key = new_key
    records[i] = cjson.encode(record)
end
for i, record in ipairs(records) do redis.call('HSET', key's', subjects[i][1], record) end
redis.call('HSET', base, 'secret', new_secret)
redis.call('SET', key'auditkey', audit_key)
log(entry, 0)
return {'ok'}
