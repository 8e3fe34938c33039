-- ARGV: name_ttl, epoch, name generation or '', tag or '', tombstone or '', mark or '', mark's ttl or '' (lift)

invalidate(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if ARGV[6] ~= '' then
  local kept, _, ends = marks(ARGV[6])
  if ARGV[7] ~= '' then kept[#kept + 1] = ARGV[6] .. pack(math.max(ends, now + tonumber(ARGV[7]))) end
  keep_marks(kept)
end
live()
return 1
