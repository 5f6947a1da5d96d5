local function log(entry, templates)
    redis.call('XADD', key'audit', '*', 'entry', entry, 'templates', templates)
end
