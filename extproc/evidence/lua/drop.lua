-- ARGV: name_ttl, epoch, name generation

-- A slot on its way to another node refuses a key that is not there: before ours is gone, then, not after.
redis.call('HEXISTS', key .. ':', 'g')
local kept = marks('')
redis.call('UNLINK', key)
redis.call('HSET', key, 'e', ARGV[2], 'l', ARGV[3], 'g', '1')
keep_marks(kept)
return 1
