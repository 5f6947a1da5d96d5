#!lua
-- `subjects` and `sightings` are JSON lists with the id, old sealed key and new sealed key of each of them.
local old_secret, new_secret, audit_key, entry, subjects, sightings = unpack(ARGV)
-- include parts/collection
-- include parts/log
subjects, sightings = cjson.decode(subjects), cjson.decode(sightings)
if redis.call('HGET', base, 'secret') ~= old_secret or redis.call('ZCARD', key'names') ~= #subjects
    or redis.call('HLEN', key'sightkeys') ~= #sightings then
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
for _, sighting in ipairs(sightings) do
    if redis.call('HGET', key'sightkeys', sighting[1]) ~= sighting[2] then return {'key'} end
end
for _, sighting in ipairs(sightings) do redis.call('HSET', key'sightkeys', sighting[1], sighting[3]) end
for i, record in ipairs(records) do redis.call('HSET', key's', subjects[i][1], record) end
redis.call('HSET', base, 'secret', new_secret)
redis.call('SET', key'auditkey', audit_key)
log(entry, 0)
return {'ok'}
