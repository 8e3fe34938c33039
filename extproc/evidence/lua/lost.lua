-- ARGV: name_ttl, digest. Under a dropped name the digest stays lifted: the primary still has it.

local field, whole = 'd' .. ARGV[2], dropped()
local data = redis.call('HGET', key, field)
local state, deleted = known(data, whole)
if state == 'p' then
  put(field, data, (whole or deleted ~= '') and seconds('l') .. deleted)
  live()
end
return 1
