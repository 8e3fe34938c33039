"""The operations on one name as Lua scripts: each is one atomic step on one Redis hash. Claims are strings.

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

from extproc.evidence.store import LONGEST_EXCHANGE


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the SHA-1 by which EVALSHA names it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def call(
        self, key: str, arguments: tuple[bytes | str | int, ...], *, by_sha: bool
    ) -> tuple[bytes | str | int, ...]:
        """The command that runs it on one key."""
        return (*(("EVALSHA", self.sha) if by_sha else ("EVAL", self.text)), 1, key, *arguments)


_LONGEST_EXCHANGE: Final = f"local longest_exchange = {LONGEST_EXCHANGE * 1e6:.0f}"
_PRELUDE: Final = (
    f"{_LONGEST_EXCHANGE}\n"
    + """
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

-- What the data of a digest say: nil where there are none, or none renewed within name_ttl (a tombstone stays).
local function kind_of(data)
  if not data then return nil end
  local kind, at = data:sub(1, 1), nil
  if kind == 'x' then return kind end
  if kind == 'a' then at = unpack8(data, 2) else at = struct.unpack('>I4', data, 2) * 1000000 end
  if at + name_ttl < now then return nil end
  return kind
end

local function state(field) return kind_of(redis.call('HGET', key, field)) end

local function deleted(kind)
  return kind == 'x' or (not kind and redis.call('HEXISTS', key, 'g') == 1)
end

local function seconds(kind) return kind .. struct.pack('>I4', math.floor(now / 1000000)) end

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
  local generation = redis.call('HGET', key, 'l')
  local sample = redis.call('HRANDFIELD', key, -3 * added, 'WITHVALUES')
  for i = 1, #sample, 2 do
    local name, value, outdated = sample[i], sample[i + 1], false
    local first = name:sub(1, 1)
    if name:sub(1, 2) == 't:' then
      outdated = value:sub(9, 16) ~= generation or unpack8(value, 1) + name_ttl < now
    elseif first == 'd' then
      outdated = not kind_of(value)
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
  if tombstone ~= '' and redis.call('HGET', key, 'd' .. tombstone) ~= 'x' then
    redis.call('HSET', key, 'd' .. tombstone, 'x')
    redis.call('HINCRBY', key, 'x', 1)
  end
  if tombstone ~= '' then redis.call('HDEL', key, 'w' .. tombstone) end
end
"""
)

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
  lease = lease_of(ARGV[4], name[2])
  -- Byte 25 is the digest's algorithm.
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

# ARGV: name_ttl, epoch, name generation or '', tag or '', tombstone or '', pushed or '', how long a push settles
# Gives the clock, and the lease that the tag had.
CHANGED: Final = Script(
    _PRELUDE
    + """
local lease = ARGV[4] ~= '' and lease_of(ARGV[4], redis.call('HGET', key, 'l'))
invalidate(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if ARGV[6] ~= '' and ARGV[4] ~= '' then
  redis.call('HSET', key, 'p:' .. ARGV[4], pack(now + tonumber(ARGV[7])) .. ARGV[6])
  sweep(1)
end
if ARGV[6] ~= '' and state('d' .. ARGV[6]) ~= 'p' then
  if not awaited(ARGV[6]) then redis.call('HSET', key, 'w' .. ARGV[6], pack(now)) end
  sweep(1)
end
live()
return {clock[1], clock[2], lease}
"""
)

# ARGV: name_ttl, epoch, absent_ttl, then for each observation:
# digest, primary_has 1 or 0, 'p' or 'a' or '', tag or '', lease head, tail
LEARN: Final = Script(
    _PRELUDE
    + """
if redis.call('HGET', key, 'e') ~= ARGV[2] then return 0 end
local absent_until = pack(now + tonumber(ARGV[3]))
local generation, dropped = redis.call('HGET', key, 'l'), redis.call('HEXISTS', key, 'g') == 1
for i = 4, #ARGV, 6 do
  local digest, primary, secondary, tag, head, tail = unpack(ARGV, i, i + 5)
  local field = 'd' .. digest
  local kind = state(field)
  if primary == '1' and deleted(kind) then
    if kind then redis.call('HINCRBY', key, 'x', -1) end
    if dropped then
      kind = 'l'
      redis.call('HSET', key, field, seconds(kind))
    else
      kind = nil
      redis.call('HDEL', key, field)
    end
  end
  if secondary == 'p' and not deleted(kind) then
    redis.call('HSET', key, field, seconds('p'))
    arrive(digest)
  elseif secondary == 'a' and not deleted(kind) then
    redis.call('HSET', key, field, 'a' .. absent_until)
  end
  if tag ~= '' and generation and unpack8(head, 1) + longest_exchange > now
      and not moves_elsewhere(tag, digest, unpack8(head, 1)) and not newer(tag, generation, head, tail) then
    redis.call('HSET', key, 't:' .. tag, head .. generation .. tail)
  end
end
sweep(math.max((#ARGV - 3) / 6, 1))
live()
return 1
"""
)

# ARGV: name_ttl, epoch, name generation
DROP: Final = Script(
    _PRELUDE
    + """
-- A slot on its way to another node refuses a key that is not there: before ours is gone, then, not after.
redis.call('HEXISTS', key .. ':', 'g')
local kept = marks('')
redis.call('UNLINK', key)
redis.call('HSET', key, 'e', ARGV[2], 'l', ARGV[3], 'g', '1')
keep_marks(kept)
return 1
"""
)

# ARGV: name_ttl, digests… Gives for each that was awaited its place among them and its lag.
HAS: Final = Script(
    _PRELUDE
    + """
local arrived = {}
for i = 2, #ARGV do
  local field = 'd' .. ARGV[i]
  if not deleted(state(field)) then
    redis.call('HSET', key, field, seconds('p'))
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

# ARGV: name_ttl. Writes nothing.
INSPECT: Final = Script(
    _PRELUDE
    + """
return {clock[1], clock[2], redis.call('HGETALL', key)}
"""
)

# KEYS: the claim's. ARGV: owner, milliseconds
CLAIM: Final = Script(
    """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)

# KEYS: the claim's. ARGV: owner
RELEASE: Final = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
)
