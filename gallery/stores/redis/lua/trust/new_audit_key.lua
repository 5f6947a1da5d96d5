#!lua
local audit_key = unpack(ARGV)
-- include parts/keys
redis.call('SET', key'auditkey', audit_key, 'NX')
return {redis.call('GET', key'auditkey')}
