-- Put names into a list of what there is, each for its time, and give how many names it has.
--
-- KEYS: the list, a sorted set of names by the time, microseconds, until which they stand there.
-- ARGV: clock; milliseconds that the list is kept longer than its names; milliseconds and name, as often as there are names.

local given_clock, spare = unpack(ARGV, 1, 2)
local now = clock(given_clock)
local longest = 0
for at = 3, #ARGV, 2 do
  local time = tonumber(ARGV[at])
  redis.call('ZADD', KEYS[1], 'GT', whole(now + time * 1000), ARGV[at + 1])
  longest = math.max(longest, time)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
local left = longest + tonumber(spare)
if redis.call('PTTL', KEYS[1]) < left then
  redis.call('PEXPIRE', KEYS[1], whole(left))
end
return redis.call('ZCARD', KEYS[1])
