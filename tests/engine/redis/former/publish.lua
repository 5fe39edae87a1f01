-- Take messages into a topic, all or none: mailbox rule, append, trim, announce.
--
-- KEYS: TOPIC, RING, WATCHES, and where the publish has an idempotency key the key for that.
-- ARGV: clock; node; watchers on this node; epoch for a new life, or '' to refuse what is not active;
--   milliseconds that a new life lingers from now on; 1 where any life does; milliseconds that the keys are kept longer
--   than the topic is active; messages to keep; bytes to keep; PUBLISH or SPUBLISH; the channel;
--   milliseconds that an idempotency key holds; the messages.
-- Gives {nodes that listen to it} where the topic is not active, else {epoch, newest, watchers, accepted, replayed, created}.
--
-- What is announced is the place of the newest message, `epoch.newest`. Where the messages are small they are carried
-- along, so that a node which has all before them need not ask: behind the place stand the stamp of the message before
-- them (`-` where there is none), theirs, their lengths with commas between, a line feed, and their bytes.

local FIRST = 13
-- Bytes that an announcement carries at most. What a node has not taken yet waits in the store's memory, which cuts off
-- who lets 32 MiB wait, or 8 MiB for a minute (client-output-buffer-limit pubsub): at this size that is 8,000 messages.
local CARRIED = 4096
local now = clock(ARGV[1])
local linger, spare = tonumber(ARGV[5]), tonumber(ARGV[7])
local queue, queue_bytes = tonumber(ARGV[8]), tonumber(ARGV[9])
local key_life = tonumber(ARGV[12])

if KEYS[4] then
  local was = redis.call('GET', KEYS[4])
  if was then
    local taken, epoch, newest, watchers, accepted = string.match(was, '^(%d+) (%w+) (%d+) (%d+) (%d+)$')
    if now < tonumber(taken) + key_life * 1000 then
      return { epoch, tonumber(newest), tonumber(watchers), tonumber(accepted), 1, 0 }
    end
  end
end

local watchers = count_watchers(now, ARGV[2]) + tonumber(ARGV[3])
local life = find_life(now, watchers > 0)
local created = 0
if not life then
  if ARGV[4] == '' then
    return { ask_listeners(ARGV[10], ARGV[11]) }
  end
  life = begin_life(now, ARGV[4])
  created = 1
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
while length > queue or (size > queue_bytes and length > 1) do
  local oldest = redis.call('LPOP', RING)
  size = size - (#oldest - string.find(oldest, ' ', 1, true))
  length = length - 1
end
life.newest = life.newest + accepted
redis.call('HSET', TOPIC, 'newest', whole(life.newest), 'stamp', stamp, 'size', whole(size))
if created == 1 or ARGV[6] == '1' then
  local till = math.max(life.till, now + linger * 1000)
  local left = whole((till - now) / 1000 + spare)
  redis.call('HSET', TOPIC, 'till', whole(till))
  redis.call('PEXPIRE', TOPIC, left)
  redis.call('PEXPIRE', RING, left)
elseif is_first then
  redis.call('PEXPIRE', RING, math.max(1, redis.call('PTTL', TOPIC)))
end
redis.call(ARGV[10], ARGV[11], life.epoch .. '.' .. whole(life.newest) .. carried)
if KEYS[4] then
  local answer = table.concat({ whole(now), life.epoch, whole(life.newest), watchers, accepted }, ' ')
  redis.call('SET', KEYS[4], answer, 'PX', whole(key_life))
end
return { life.epoch, life.newest, watchers, accepted, 0, created }
