-- What the scripts share; it stands before each of them.
--
-- A topic is three keys with one hash tag, so that a cluster keeps them together:
--   TOPIC    hash: epoch, newest (offset), stamp (its time of arrival, '' where there was none), size (bytes in the ring),
--            born and till (microseconds)
--   RING     list: of each message kept its time of arrival, a space, and its bytes; the newest last
--   WATCHES  hash: of each node that watches "how many:until when" (microseconds), its lease
-- It is active while the time is before `till`, or a node's lease says that somebody watches.
-- Both are times on a clock that may be set, in keys that may be lost. So where a script finds a topic inactive and the
-- caller would tell a client so, it asks all nodes that listen to the topic, which are those that mirror it
-- (`ask_listeners`).
-- The keys expire in the store a while after that, so that nothing is left of a topic that nobody asks for again.

local TOPIC, RING, WATCHES = KEYS[1], KEYS[2], KEYS[3]

-- The time, microseconds since 1970 on the store's clock, unless the caller brings its own.
local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- A whole number as text, with all its digits.
local function whole(number)
  return string.format('%.0f', number)
end

-- How many watch on all nodes but `except`, and the nodes whose lease has run out, which do not count.
local function count_watchers(now, except)
  local sum, gone = 0, {}
  local held = redis.call('HGETALL', WATCHES)
  for at = 1, #held, 2 do
    local count, till = string.match(held[at + 1], '^(%d+):(%d+)$')
    if now >= tonumber(till) then
      gone[#gone + 1] = held[at]
    elseif held[at] ~= except then
      sum = sum + tonumber(count)
    end
  end
  return sum, gone
end

-- The living topic as {epoch, newest, stamp, size, born, till}, or nil; `watched` says whether somebody watches it.
local function find_life(now, watched)
  local found = redis.call('HMGET', TOPIC, 'epoch', 'newest', 'size', 'born', 'till', 'stamp')
  if not found[1] or not (watched or now < tonumber(found[5])) then
    return nil
  end
  return {
    epoch = found[1],
    newest = tonumber(found[2]),
    size = tonumber(found[3]),
    born = tonumber(found[4]),
    till = tonumber(found[5]),
    stamp = found[6] or '?', -- a life that an older slosh began
  }
end

-- Have every node that mirrors the topic tell again what it has, and give how many listen. What is announced is a place
-- of a life that there never was, and any node that hears of a life which it does not know asks for it (sync.lua).
local function ask_listeners(publish, channel)
  return redis.call(publish, channel, '-.0')
end

-- A new life; the ring of the one before goes.
local function begin_life(now, epoch)
  -- First what needs memory: a script that has written once may write on, also where there is none left.
  redis.call('HSET', TOPIC, 'epoch', epoch, 'newest', 0, 'stamp', '', 'size', 0, 'born', whole(now), 'till', whole(now))
  redis.call('DEL', RING)
  return { epoch = epoch, newest = 0, stamp = '', size = 0, born = now, till = now }
end
