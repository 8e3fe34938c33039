-- ARGV: name_ttl, epoch, name generation or '', tag or '', tombstone or '', pushed or '', how long a push settles
-- Gives the clock, and the lease that the tag had.

local lease = ARGV[4] ~= '' and lease_of(ARGV[4], redis.call('HGET', key, 'l'))
invalidate(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if ARGV[6] ~= '' and ARGV[4] ~= '' then
  redis.call('HSET', key, 'p:' .. ARGV[4], pack(now + tonumber(ARGV[7])) .. ARGV[6])
  sweep(1)
end
if ARGV[6] ~= '' and known(redis.call('HGET', key, 'd' .. ARGV[6]), dropped()) ~= 'p' then
  if not awaited(ARGV[6]) then redis.call('HSET', key, 'w' .. ARGV[6], pack(now)) end
  sweep(1)
end
live()
return {clock[1], clock[2], lease}
