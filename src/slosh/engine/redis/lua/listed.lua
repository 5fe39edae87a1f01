-- Give the names that stand in a list now, each followed by the milliseconds for which it will, where that is asked.
--
-- KEYS: the list, as enlist.lua keeps it. ARGV: clock; 1 where the times are asked.

local given_clock, with_times = unpack(ARGV, 1, 2)
local now = clock(given_clock)
if with_times ~= '1' then
  return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(now), '+inf')
end
local listed = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(now), '+inf', 'WITHSCORES')
for at = 2, #listed, 2 do
  listed[at] = whole((listed[at] - now) / 1000)
end
return listed
