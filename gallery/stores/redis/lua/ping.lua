#!lua
local word = unpack(ARGV)
redis.call('SET', KEYS[1], word, 'PX', 60000)
return {redis.call('GET', KEYS[1])}
