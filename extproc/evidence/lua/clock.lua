-- What each operation on a name begins with. Times are microseconds.

local key, name_ttl = KEYS[1], tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
