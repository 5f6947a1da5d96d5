-- Ends the script with the status none if the collection does not exist.
-- include parts/keys
if redis.call('EXISTS', base) == 0 then return {'none'} end
local live = redis.call('HGET', base, 'live')
local shadow = redis.call('HGET', base, 'shadow')
