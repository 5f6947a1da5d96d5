local function drop_shadow()
    redis.call('UNLINK', key('g:' .. shadow), key('e:' .. shadow), key('leaves:' .. shadow), key'todo')
    redis.call('HDEL', base, 'shadow')
end
