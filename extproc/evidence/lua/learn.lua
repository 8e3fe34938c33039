-- ARGV: name_ttl, epoch, absent_ttl, then for each observation:
-- digest, what the primary served it as ('m', 'b' or ''), 'p' or 'a' or '', tag or '', lease head, tail

if redis.call('HGET', key, 'e') ~= ARGV[2] then return 0 end
local absent_until = pack(now + tonumber(ARGV[3]))
local generation, whole = redis.call('HGET', key, 'l'), dropped()
for i = 4, #ARGV, 6 do
  local digest, served_as, secondary, tag, head, tail = unpack(ARGV, i, i + 5)
  local field = 'd' .. digest
  local data = redis.call('HGET', key, field)
  local state, deleted = known(data, whole)
  if served_as ~= '' and deleted == 'x' then
    deleted = served_as == 'm' and 'b' or 'm'
    data = put(field, data, seconds('l') .. deleted)
  elseif served_as ~= '' and deleted == served_as then
    deleted = ''
    data = put(field, data, (whole or state == 'p' or state == 'a') and data:sub(1, -2))
  end
  if secondary == 'p' and deleted ~= 'x' then
    put(field, data, seconds('p') .. deleted)
    arrive(digest)
  elseif secondary == 'a' and deleted ~= 'x' then
    put(field, data, 'a' .. absent_until .. deleted)
  end
  if tag ~= '' and generation and unpack8(head, 1) + longest_exchange > now
      and not moves_elsewhere(tag, digest, unpack8(head, 1)) and not newer(tag, generation, head, tail) then
    redis.call('HSET', key, 't:' .. tag, head .. generation .. tail)
  end
end
sweep(math.max((#ARGV - 3) / 6, 1))
live()
return 1
