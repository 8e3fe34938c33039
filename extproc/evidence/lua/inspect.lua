-- ARGV: name_ttl. Writes nothing.

return {clock[1], clock[2], redis.call('HGETALL', key)}
