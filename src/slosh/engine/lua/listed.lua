-- Give the names that stand in a list now.
--
-- KEYS: the list, as enlist.lua keeps it. ARGV: clock.

return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(clock(ARGV[1])), '+inf')
