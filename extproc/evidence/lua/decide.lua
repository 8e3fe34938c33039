-- KEYS: the name's, and perhaps the site's generation, which then is the last of the answer.
-- ARGV: name_ttl, epoch, name generation, tag or '', digest or ''
-- The script that runs for each read: it makes the functions of name.lua only where it needs them.

local created = redis.call('HSETNX', key, 'e', ARGV[2]) == 1
local field = ARGV[4] ~= '' and 't:' .. ARGV[4] or 'd' .. ARGV[5]
local name = redis.call('HMGET', key, 'e', 'l', 'm', 'g', field)
if not name[2] then redis.call('HSET', key, 'l', ARGV[3]) end
if created then
-- name.lua
live()
end
local lease, seen = false, name[5]
if ARGV[4] ~= '' then
  -- Bytes 9 to 16 are the generation that the lease is of, byte 25 is the digest's algorithm.
  lease = seen and seen:sub(9, 16) == name[2] and seen
  seen = lease and redis.call('HGET', key, 'd' .. lease:sub(25, lease:byte(25) == 1 and 57 or 89))
end
return {clock[1], clock[2], name[1], name[3], name[4], lease, seen, KEYS[2] and redis.call('GET', KEYS[2])}
