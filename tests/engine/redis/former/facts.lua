-- What is told of a topic, and nothing is changed.
--
-- KEYS: TOPIC, RING, WATCHES. ARGV: clock; node that is not to be counted; microseconds over which messages are counted;
--   PUBLISH or SPUBLISH; the channel, or '' where those that listen are not to be asked.
-- Gives {watchers, nodes that listen to it, 0 where not asked} where the topic is not active, else
--   {watchers, newest, age, messages that came in of late, messages kept, age of the oldest} (ages in microseconds).

local now = clock(ARGV[1])
local watchers = count_watchers(now, ARGV[2])
local life = find_life(now, watchers > 0)
if not life then
  return { watchers, ARGV[5] ~= '' and ask_listeners(ARGV[4], ARGV[5]) or 0 }
end

local length = redis.call('LLEN', RING)
local function age_at(index)
  return now - tonumber(string.match(redis.call('LINDEX', RING, index), '^%d+'))
end
-- The messages stand in the order of their arrival, so the oldest of the young ones is found by halving.
local low, high = 0, length
while low < high do
  local middle = math.floor((low + high) / 2)
  if age_at(middle) <= tonumber(ARGV[3]) then
    high = middle
  else
    low = middle + 1
  end
end
local oldest = 0
if length > 0 then
  oldest = age_at(0)
end
return { watchers, life.newest, whole(now - life.born), length - low, length, whole(oldest) }
