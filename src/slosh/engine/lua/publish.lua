-- Take messages into a topic, all or none: mailbox rule, append, trim, announce.
--
-- KEYS: TOPIC, RING, WATCHES, and where the publish has an idempotency key the key for that.
-- ARGV: clock; node; watchers on this node; epoch for a new life, or '' to refuse what is not active;
--   milliseconds that a new life lingers from now on; 1 where any life does; milliseconds that the keys are kept longer
--   than the topic is active; messages to keep; bytes to keep; PUBLISH or SPUBLISH; the channel;
--   milliseconds that an idempotency key holds; the messages.
-- Gives {} where the topic is not active, else {epoch, newest, watchers, accepted, replayed, created}.

local FIRST = 13
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
    return {}
  end
  life = begin_life(now, ARGV[4])
  created = 1
end

local stamp = whole(now) .. ' '
local accepted = #ARGV - FIRST + 1
local length, size = 0, 0
for at = FIRST, #ARGV do
  length = redis.call('RPUSH', RING, stamp .. ARGV[at])
  size = size + #ARGV[at]
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
redis.call('HSET', TOPIC, 'newest', whole(life.newest), 'size', whole(size))
if created == 1 or ARGV[6] == '1' then
  local till = math.max(life.till, now + linger * 1000)
  local left = whole((till - now) / 1000 + spare)
  redis.call('HSET', TOPIC, 'till', whole(till))
  redis.call('PEXPIRE', TOPIC, left)
  redis.call('PEXPIRE', RING, left)
elseif is_first then
  redis.call('PEXPIRE', RING, math.max(1, redis.call('PTTL', TOPIC)))
end
redis.call(ARGV[10], ARGV[11], life.epoch .. '.' .. whole(life.newest))
if KEYS[4] then
  local answer = table.concat({ whole(now), life.epoch, whole(life.newest), watchers, accepted }, ' ')
  redis.call('SET', KEYS[4], answer, 'PX', whole(key_life))
end
return { life.epoch, life.newest, watchers, accepted, 0, created }
