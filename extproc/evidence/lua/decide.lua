-- KEYS: the name's, and perhaps the site's generation, which then is the last of the answer.
-- ARGV: name_ttl, epoch, name generation, tag or '', digest or ''

local created = redis.call('HSETNX', key, 'e', ARGV[2])
redis.call('HSETNX', key, 'l', ARGV[3])
if created == 1 then live() end
local digest, lease = ARGV[5], false
local name = redis.call('HMGET', key, 'e', 'l', 'm', 'g')
if ARGV[4] ~= '' then
  lease = lease_of(ARGV[4], name[2])
  -- Byte 25 is the digest's algorithm.
  if lease then digest = lease:sub(25, lease:byte(25) == 1 and 57 or 89) end
end
local seen = digest ~= '' and redis.call('HGET', key, 'd' .. digest)
return {clock[1], clock[2], name[1], name[3], name[4], lease, seen, KEYS[2] and redis.call('GET', KEYS[2])}
