-- ARGV: name_ttl, digests. Gives for each that was awaited its place among them and its lag.

local arrived, whole = {}, dropped()
for i = 2, #ARGV do
  local field = 'd' .. ARGV[i]
  local data = redis.call('HGET', key, field)
  local _, deleted = known(data, whole)
  if deleted ~= 'x' then
    put(field, data, seconds('p') .. deleted)
    local lag = arrive(ARGV[i])
    if lag then
      arrived[#arrived + 1] = i - 2
      arrived[#arrived + 1] = lag
    end
  end
end
sweep(#ARGV - 1)
live()
return arrived
