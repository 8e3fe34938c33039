-- What the operations on a name share, behind clock.lua and `longest_exchange` (microseconds).

local function pack(number) return struct.pack('>I8', number) end
local function unpack8(data, at) return (struct.unpack('>I8', data, at)) end

-- The marks that have not expired, without the one given; when the last of them expires; and when the one given does.
local function marks(without)
  local packed, kept, last, ends = redis.call('HGET', key, 'm') or '', {}, 0, 0
  for at = 1, #packed, 24 do
    local expiry = unpack8(packed, at + 16)
    if packed:sub(at, at + 15) == without then
      ends = expiry
    elseif expiry > now then
      kept[#kept + 1] = packed:sub(at, at + 23)
      last = math.max(last, expiry)
    end
  end
  return kept, last, ends
end

local function keep_marks(kept)
  if #kept > 0 then redis.call('HSET', key, 'm', table.concat(kept)) else redis.call('HDEL', key, 'm') end
end

local function live()
  local held = redis.call('HMGET', key, 'g', 'x')
  if held[1] or tonumber(held[2] or 0) > 0 then
    redis.call('PERSIST', key)
  else
    local _, last = marks('')
    redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(math.max(name_ttl, last - now) / 1000)))
  end
end

-- What the data of a digest say: its state ('p', 'a', 'l'; nil where there is none, or none renewed within name_ttl),
-- and what it is deleted as: 'x' both, 'm' a manifest alone, 'b' a blob alone, '' neither.
local function known(data, dropped)
  if data == 'x' or (dropped and not data) then return nil, 'x' end
  if not data then return nil, '' end
  local state = data:sub(1, 1)
  local at, behind = struct.unpack(state == 'a' and '>I8' or '>I4', data, 2)
  if state ~= 'a' then at = at * 1000000 end
  if at + name_ttl >= now then return state, data:sub(behind) end
  return nil, dropped and 'x' or data:sub(behind)
end

local function dropped() return redis.call('HEXISTS', key, 'g') == 1 end

-- 1 for a tombstone, or half of one: then a byte more follows the time.
local function buries(data) return data and (data == 'x' or #data == 6 or #data == 10) and 1 or 0 end

-- All changes of a digest's data, so that tombstones are counted. (What a sweep finds twice is gone the second time.)
local function put(field, old, new)
  if new then redis.call('HSET', key, field, new) elseif redis.call('HDEL', key, field) == 0 then return nil end
  local more = buries(new) - buries(old)
  if more ~= 0 then redis.call('HINCRBY', key, 'x', more) end
  return new
end

local function seconds(state) return state .. struct.pack('>I4', math.floor(now / 1000000)) end

-- The tag's lease if it is of the name's generation. Bytes 9 to 16 are that.
local function lease_of(tag, generation)
  local lease = redis.call('HGET', key, 't:' .. tag)
  return lease and lease:sub(9, 16) == generation and lease
end

-- Microseconds for which a digest has been awaited, or nil.
local function awaited(digest)
  local since = redis.call('HGET', key, 'w' .. digest)
  local lag = since and math.max(now - unpack8(since, 1), 0)
  return lag and lag <= name_ttl and lag or nil
end

-- The digest is present now: it is no longer awaited. Its lag if it was.
local function arrive(digest)
  local lag = awaited(digest)
  if lag then
    redis.call('HDEL', key, 'w' .. digest)
    redis.call('HSET', key, 'r', pack(lag))
  end
  return lag
end

-- A busy name never expires as a whole: look at a few fields for each one added, drop what no longer counts.
local function sweep(added)
  local generation, whole = redis.call('HGET', key, 'l'), dropped()
  local sample = redis.call('HRANDFIELD', key, -3 * added, 'WITHVALUES')
  for i = 1, #sample, 2 do
    local name, value, outdated = sample[i], sample[i + 1], false
    local first = name:sub(1, 1)
    if name:sub(1, 2) == 't:' then
      outdated = value:sub(9, 16) ~= generation or unpack8(value, 1) + name_ttl < now
    elseif first == 'd' then
      local state, deleted = known(value, whole)
      if not state and value ~= 'x' and (whole or deleted == '') then put(name, value, nil) end
    elseif first == 'w' then
      outdated = unpack8(value, 1) + name_ttl < now
    elseif name:sub(1, 2) == 'p:' then
      outdated = unpack8(value, 1) + longest_exchange < now
    end
    if outdated then redis.call('HDEL', key, name) end
  end
end

-- Whether the primary, asked at `asked_at`, may have answered from before a push that was told moved the tag.
local function moves_elsewhere(tag, digest, asked_at)
  local move = redis.call('HGET', key, 'p:' .. tag)
  return move and unpack8(move, 1) > asked_at and move:sub(9) ~= digest
end

-- Whether the tag has a lease that counts, and is of a later answer.
local function newer(tag, generation, head, tail)
  local lease = lease_of(tag, generation)
  return lease and lease:sub(17, 24) == tail:sub(1, 8) and unpack8(lease, 1) > unpack8(head, 1)
end

local function invalidate(epoch, generation, tag, tombstone)
  redis.call('HSET', key, 'e', epoch)
  if generation ~= '' then redis.call('HSET', key, 'l', generation) end
  if tag ~= '' then redis.call('HDEL', key, 't:' .. tag) end
  if tombstone ~= '' then
    put('d' .. tombstone, redis.call('HGET', key, 'd' .. tombstone), 'x')
    redis.call('HDEL', key, 'w' .. tombstone)
  end
end
