#!lua
local subject, other, entry, other_entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/apart
if redis.call('HEXISTS', key's', subject) == 0 then return {'subject'} end
if redis.call('HEXISTS', key's', other) == 0 then return {'other'} end
for one, two in pairs({[subject] = other, [other] = subject}) do
    local others = list_apart_without(one, two)
    others[#others + 1] = two
    set_apart(one, others)
end
log(entry, 0)
log(other_entry, 0)
return {'ok'}
