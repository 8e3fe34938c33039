"""The operations on one name as Lua scripts: each is one atomic step on one Redis hash.

Rules
1. Times are TIME inside the script; randomness comes from outside, for scripts have none.
2. Every script writes unconditionally or compares with what only a master wrote first: `decide` begins with
   HSETNX, so a replica (demoted master) refuses it with READONLY instead of answering from the past.
3. Every write sets the key's life anew: never expiring while there is a tombstone or the name was dropped,
   never before the last mark.
4. Fields: see docs/evidence.md, "Layout". The shapes are those of `packed`.

Scripts with TIME before writes need effects replication: Redis >= 5; HRANDFIELD needs >= 6.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the SHA-1 by which EVALSHA names it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


_PRELUDE: Final = """
local key, name_ttl = KEYS[1], tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function pack(number) return struct.pack('>I8', number) end
local function unpack8(data, at) return (struct.unpack('>I8', data, at)) end

-- The marks that have not expired, without the one given; and when the last of them expires.
local function marks(without)
  local packed, kept, last = redis.call('HGET', key, 'm') or '', {}, 0
  for at = 1, #packed, 24 do
    local expiry = unpack8(packed, at + 16)
    if expiry > now and packed:sub(at, at + 15) ~= without then
      kept[#kept + 1] = packed:sub(at, at + 23)
      last = math.max(last, expiry)
    end
  end
  return kept, last
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

-- A state that counts: nil where there is none, or none renewed within name_ttl (but a tombstone stays).
local function state(field)
  local data = redis.call('HGET', key, field)
  if not data then return nil end
  local kind, at = data:sub(1, 1), nil
  if kind == 'x' then return kind end
  if kind == 'a' then at = unpack8(data, 2) else at = struct.unpack('>I4', data, 2) * 1000000 end
  if at + name_ttl < now then return nil end
  return kind
end

local function deleted(kind)
  return kind == 'x' or (not kind and redis.call('HEXISTS', key, 'g') == 1)
end

local function seconds(kind) return kind .. struct.pack('>I4', math.floor(now / 1000000)) end

local function invalidate(epoch, generation, tag, tombstone)
  redis.call('HSET', key, 'e', epoch)
  if generation ~= '' then redis.call('HSET', key, 'l', generation) end
  if tag ~= '' then redis.call('HDEL', key, 't:' .. tag) end
  if tombstone ~= '' and redis.call('HGET', key, 'd' .. tombstone) ~= 'x' then
    redis.call('HSET', key, 'd' .. tombstone, 'x')
    redis.call('HINCRBY', key, 'x', 1)
  end
end
"""

# ARGV: name_ttl, epoch, name generation, tag or '', digest or ''
DECIDE: Final = Script(
    _PRELUDE
    + """
local created = redis.call('HSETNX', key, 'e', ARGV[2])
redis.call('HSETNX', key, 'l', ARGV[3])
if created == 1 then live() end
local digest, lease = ARGV[5], false
local name = redis.call('HMGET', key, 'e', 'l', 'm', 'g')
if ARGV[4] ~= '' then
  lease = redis.call('HGET', key, 't:' .. ARGV[4])
  -- Bytes 9 to 16 are the name's generation, byte 25 the digest's algorithm.
  if lease and lease:sub(9, 16) ~= name[2] then lease = false end
  if lease then digest = lease:sub(25, lease:byte(25) == 1 and 57 or 89) end
end
local seen = digest ~= '' and redis.call('HGET', key, 'd' .. digest)
return {clock[1], clock[2], name[1], name[3], name[4], lease, seen}
"""
)

# ARGV: name_ttl, epoch, name generation or '', tag or '', tombstone or '', mark or '', mark's ttl or '' (lift)
INVALIDATE: Final = Script(
    _PRELUDE
    + """
invalidate(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if ARGV[6] ~= '' then
  local kept = marks(ARGV[6])
  if ARGV[7] ~= '' then kept[#kept + 1] = ARGV[6] .. pack(now + tonumber(ARGV[7])) end
  keep_marks(kept)
end
live()
return 1
"""
)

# ARGV: name_ttl, epoch, digest, primary_has 1 or 0, 'p' or 'a' or '', absent_ttl, tag or '', lease head, tail
LEARN: Final = Script(
    _PRELUDE
    + """
if redis.call('HGET', key, 'e') ~= ARGV[2] then return 0 end
local field = 'd' .. ARGV[3]
local kind = state(field)
if ARGV[4] == '1' and deleted(kind) then
  if kind then redis.call('HINCRBY', key, 'x', -1) end
  if redis.call('HEXISTS', key, 'g') == 1 then
    kind = 'l'
    redis.call('HSET', key, field, seconds(kind))
  else
    kind = nil
    redis.call('HDEL', key, field)
  end
end
if not deleted(kind) then
  if ARGV[5] == 'p' then redis.call('HSET', key, field, seconds('p')) end
  if ARGV[5] == 'a' then redis.call('HSET', key, field, 'a' .. pack(now + tonumber(ARGV[6]))) end
end
local generation = redis.call('HGET', key, 'l')
if ARGV[7] ~= '' and generation then
  redis.call('HSET', key, 't:' .. ARGV[7], ARGV[8] .. generation .. ARGV[9])
end
-- A busy name never expires as a whole: look at a few fields for each one added, drop what no longer counts.
local sample = redis.call('HRANDFIELD', key, -3, 'WITHVALUES')
for i = 1, #sample, 2 do
  local name, value = sample[i], sample[i + 1]
  if name:sub(1, 2) == 't:' then
    if value:sub(9, 16) ~= generation or unpack8(value, 1) + name_ttl < now then
      redis.call('HDEL', key, name)
    end
  elseif name:sub(1, 1) == 'd' and not state(name) then
    redis.call('HDEL', key, name)
  end
end
live()
return 1
"""
)

# ARGV: name_ttl, epoch, name generation
DROP: Final = Script(
    _PRELUDE
    + """
local kept = marks('')
redis.call('UNLINK', key)
redis.call('HSET', key, 'e', ARGV[2], 'l', ARGV[3], 'g', '1')
keep_marks(kept)
return 1
"""
)

# ARGV: name_ttl, digests…
HAS: Final = Script(
    _PRELUDE
    + """
for i = 2, #ARGV do
  local field = 'd' .. ARGV[i]
  if not deleted(state(field)) then redis.call('HSET', key, field, seconds('p')) end
end
live()
return 1
"""
)

# ARGV: name_ttl, digest. Under a dropped name the digest stays lifted: the primary still has it.
LOST: Final = Script(
    _PRELUDE
    + """
local field = 'd' .. ARGV[2]
if state(field) == 'p' then
  if redis.call('HEXISTS', key, 'g') == 1 then
    redis.call('HSET', key, field, seconds('l'))
  else
    redis.call('HDEL', key, field)
  end
  live()
end
return 1
"""
)
