-- What is told of a topic, and nothing is changed.
--
-- KEYS: TOPIC, RING, WATCHES. ARGV: clock; node that is not to be counted; microseconds over which messages are counted;
--   PUBLISH or SPUBLISH; the channel, or '' where those that listen are not to be asked.
-- Gives {watchers, nodes that listen to it, 0 where not asked} where the topic is not active, else
--   {watchers, newest, age, messages that came in of late, messages kept, age of the oldest, 1 where it has ended}
--   (ages in microseconds).

local given_clock, node, window, announce, channel = unpack(ARGV, 1, 5)
local now = clock(given_clock)
local watchers = count_watchers(now, node)
local life = find_life(now, watchers > 0)
if not life then
  return { watchers, channel ~= '' and ask_listeners(announce, channel) or 0 }
end

local length = redis.call('LLEN', RING)
local function age_at(index)
  return now - tonumber(string.match(redis.call('LINDEX', RING, index), '^%d+'))
end
-- The messages stand in the order of their arrival, so the oldest of the young ones is found by halving.
local low, high = 0, length
while low < high do
  local middle = math.floor((low + high) / 2)
  if age_at(middle) <= tonumber(window) then
    high = middle
  else
    low = middle + 1
  end
end
local oldest = 0
if length > 0 then
  oldest = age_at(0)
end
local ended = life.ended and 1 or 0
return { watchers, life.newest, whole(now - life.born), length - low, length, whole(oldest), ended }
