-- Take messages into a topic, all or none: mailbox rule, append, trim, announce. And end it behind them.
--
-- KEYS: TOPIC, RING, WATCHES, and where the publish has an idempotency key the key for that.
-- ARGV: clock; node; watchers on this node; epoch for a new life, or '' to refuse what is not active;
--   milliseconds that a new life lingers from now on; 1 where any life does; milliseconds that the keys are kept longer
--   than the topic is active; messages to keep; bytes to keep; microseconds to keep each, 0 for any time; PUBLISH or SPUBLISH; the channel;
--   milliseconds that an idempotency key holds; 1 where the topic ends with this; the messages.
-- Gives {nodes that listen to it} where the topic is not active, {epoch, newest} where it has ended, else
--   {epoch, newest, watchers, accepted, replayed (1, or 2 where an end came again without a key), created, 1 where
--   the topic ended with it}.
--
-- What is announced is the place of the newest message, `epoch.newest`. Where the messages are small they are carried
-- along, so that a node which has all before them need not ask: behind the place stand the stamp of the message before
-- them (`-` where there is none), theirs, their lengths with commas between, a line feed, and their bytes.
--
-- The end is announced by itself, behind the messages: the place, `end`, the stamp of the newest message (`-` where there
-- is none), `0`, and a line feed. A node whose slosh knows no ends takes that for messages that do not follow on what it
-- has, and asks for what it may have missed.

local given_clock, node, here, new_epoch, linger, keeps, spare, queue, queue_bytes, age,
  announce, channel, key_life, ends = unpack(ARGV, 1, 14)
local FIRST = 15
-- Bytes that an announcement carries at most. What a node has not taken yet waits in the store's memory, which cuts off
-- who lets 32 MiB wait, or 8 MiB for a minute (client-output-buffer-limit pubsub): at this size that is 8,000 messages.
local CARRIED = 4096
local now = clock(given_clock)
linger, spare = tonumber(linger), tonumber(spare)
queue, queue_bytes = tonumber(queue), tonumber(queue_bytes)
age = tonumber(age)
key_life = tonumber(key_life)

if KEYS[4] then
  local was = redis.call('GET', KEYS[4])
  if was then
    local taken, epoch, newest, watchers, accepted = string.match(was, '^(%d+) (%w+) (%d+) (%d+) (%d+)$')
    if now < tonumber(taken) + key_life * 1000 then
      local ended = string.sub(taken, 1, 1) == '0' and 1 or 0
      return { epoch, tonumber(newest), tonumber(watchers), tonumber(accepted), 1, 0, ended }
    end
  end
end

ends = ends == '1'
local watchers = count_watchers(now, node) + tonumber(here)
local life = find_life(now, watchers > 0)
local created = 0
if not life then
  if new_epoch == '' then
    return { ask_listeners(announce, channel) }
  end
  life = begin_life(now, new_epoch)
  created = 1
elseif life.ended then
  if ends and new_epoch == '' and #ARGV < FIRST then -- once more, because the answer was lost
    return { life.epoch, life.newest, watchers, 0, 2, 0, 1 }
  end
  return { life.epoch, life.newest }
end

-- Times of arrival never go back within a life, whatever becomes of the store's clock.
local before = tonumber(life.stamp) or 0
local stamp = whole(now < before and before + 1 or now)
local accepted = #ARGV - FIRST + 1
local length, size, lengths = 0, 0, {}
for at = FIRST, #ARGV do
  length = redis.call('RPUSH', RING, stamp .. ' ' .. ARGV[at])
  size = size + #ARGV[at]
  lengths[at - FIRST + 1] = #ARGV[at]
end
local carried = ''
if size + 4 * accepted <= CARRIED then -- each length takes some bytes too
  local before = life.stamp ~= '' and life.stamp or '-'
  carried = ' ' .. before .. ' ' .. stamp .. ' ' .. table.concat(lengths, ',') .. '\n' .. table.concat(ARGV, '', FIRST)
end
local is_first = length == accepted
if not is_first then -- else the ring was empty, or the store gave it up
  size = size + life.size
end
local function is_old()
  return age > 0 and tonumber(stamp) - tonumber(string.match(redis.call('LINDEX', RING, 0), '^%d+')) > age
end
while length > queue or (length > 1 and (size > queue_bytes or is_old())) do
  local oldest = redis.call('LPOP', RING)
  size = size - (#oldest - string.find(oldest, ' ', 1, true))
  length = length - 1
end
life.newest = life.newest + accepted
if accepted > 0 then
  redis.call('HSET', TOPIC, 'newest', whole(life.newest), 'stamp', stamp, 'size', whole(size))
end
if ends then
  redis.call('HSET', TOPIC, 'ended', life.epoch)
end
if created == 1 or keeps == '1' then
  local till = math.max(life.till, now + linger * 1000)
  local left = whole((till - now) / 1000 + spare)
  redis.call('HSET', TOPIC, 'till', whole(till))
  redis.call('PEXPIRE', TOPIC, left)
  redis.call('PEXPIRE', RING, left)
elseif is_first and accepted > 0 then
  redis.call('PEXPIRE', RING, math.max(1, redis.call('PTTL', TOPIC)))
end
local place = life.epoch .. '.' .. whole(life.newest)
if accepted > 0 then
  redis.call(announce, channel, place .. carried)
end
if ends then
  local newest = accepted > 0 and stamp or (life.stamp ~= '' and life.stamp or '-')
  redis.call(announce, channel, place .. ' end ' .. newest .. ' 0\n')
end
if KEYS[4] then
  -- A `0` in front of the time says that the topic ended: a node whose slosh knows no such mark reads the same number.
  local taken = (ends and '0' or '') .. whole(now)
  local answer = table.concat({ taken, life.epoch, whole(life.newest), watchers, accepted }, ' ')
  redis.call('SET', KEYS[4], answer, 'PX', whole(key_life))
end
return { life.epoch, life.newest, watchers, accepted, 0, created, ends and 1 or 0 }
