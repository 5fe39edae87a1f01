-- Bring a node's mirror of a topic up to date, and tell how many watch there.
--
-- KEYS: TOPIC, RING, WATCHES.
-- ARGV: clock; node; watchers on this node, or -1 to look only and leave no trace; milliseconds that this lease holds;
--   milliseconds to linger at least from now on; milliseconds that the keys are kept longer than that;
--   epoch for a new life, or '' where what is not active stays so; PUBLISH or SPUBLISH; the channel;
--   epoch and newest offset of the mirror, and the time of arrival of that message ('' where there is no mirror).
-- Gives {now, nodes that listen to it, 0 where not asked} where the topic is not active, else {now, epoch, newest, born, created, messages after the mirror's…};
-- no messages to a node that has no mirror, no watchers, and no epoch, which only gives its lease back.

local now = clock(ARGV[1])
local node, here = ARGV[2], tonumber(ARGV[3])
local lease, linger, spare = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local fresh_epoch = ARGV[7]
local known_epoch, known, known_stamp = ARGV[10], tonumber(ARGV[11]), ARGV[12]

local others, gone = count_watchers(now, node)
local told, lease_till = string.match(redis.call('HGET', WATCHES, node) or '', '^(%d+):(%d+)$')
local is_told = told and now < tonumber(lease_till)
-- A node that could not renew its lease in time still has what it had, as long as nobody began another life.
local is_mine = here > 0 and known_epoch ~= '' and redis.call('HGET', TOPIC, 'epoch') == known_epoch
local life = find_life(now, others > 0 or is_told or is_mine)
local created = 0
if not life then
  if fresh_epoch == '' then
    return { whole(now), here < 0 and ask_listeners(ARGV[8], ARGV[9]) or 0 }
  end
  life = begin_life(now, fresh_epoch)
  created = 1
elseif life.epoch == known_epoch and fresh_epoch ~= '' then
  -- A store that was restored, or a replica that took over, may have forgotten messages that were given out, and have
  -- other messages at their offsets since. The cursors of this life have no meaning then.
  local length = redis.call('LLEN', RING)
  local is_lost = known > life.newest
  if not is_lost and known_stamp ~= '' and life.newest - known < length then
    local entry = redis.call('LINDEX', RING, known - life.newest - 1)
    is_lost = string.sub(entry, 1, #known_stamp + 1) ~= known_stamp .. ' '
  end
  if is_lost then
    life.epoch, life.newest = fresh_epoch, length
    local stamp = string.match(redis.call('LINDEX', RING, -1) or '', '^%d*')
    redis.call('HSET', TOPIC, 'epoch', fresh_epoch, 'newest', length, 'stamp', stamp)
    redis.call(ARGV[8], ARGV[9], life.epoch .. '.' .. length)
  end
end

if here >= 0 then
  for _, each in ipairs(gone) do
    redis.call('HDEL', WATCHES, each)
  end
  if here > 0 then
    redis.call('HSET', WATCHES, node, here .. ':' .. whole(now + lease * 1000))
    if others == 0 and not is_told then
      redis.call(ARGV[8], ARGV[9] .. ':watched', here) -- Keys.watched
    end
  elseif told then
    redis.call('HDEL', WATCHES, node)
  end
  local till = math.max(life.till, now + linger * 1000)
  if till > life.till then
    redis.call('HSET', TOPIC, 'till', whole(till))
  end
  local left = whole(math.max(till - now, lease * 1000) / 1000 + spare)
  redis.call('PEXPIRE', TOPIC, left)
  redis.call('PEXPIRE', RING, left)
  redis.call('PEXPIRE', WATCHES, left)
end

local answer = { whole(now), life.epoch, life.newest, whole(life.born), created }
local missing = life.newest
if life.epoch == known_epoch then
  missing = life.newest - known
end
local is_farewell = here == 0 and known_epoch == '' and fresh_epoch == ''
if missing > 0 and not is_farewell then
  for _, entry in ipairs(redis.call('LRANGE', RING, -missing, -1)) do
    answer[#answer + 1] = entry
  end
end
return answer
