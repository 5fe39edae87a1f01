"""Breaks of what is decided in the store."""

from tests.mutations.row import Row

row = Row.of

ROWS: tuple[Row, ...] = (
    row(
        "engine/redis/lua/common.lua",
        "elseif held[at] ~= except then",
        "else",
        "engine/redis/test_engine.py::TestRedis::test_how_many_watch_is_told[system]",
    ),
    row(
        "engine/redis/lua/common.lua",
        "if now >= tonumber(till) then",
        "if false then",
        "engine/redis/test_engine.py::TestTwoNodes::test_a_node_that_dies_stops_counting_within_linger[system]",
    ),
    row(
        "engine/redis/lua/common.lua",
        "redis.call('DEL', RING)",
        "redis.call('PING')",
        "engine/redis/test_engine.py::test_a_new_life_begins_with_an_empty_ring[system]",
    ),
    row(
        "engine/redis/lua/enlist.lua",
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))",
        "redis.call('PING')",
        "engine/redis/test_directory.py::test_with_keep_a_node_that_had_no_room_sees_when_there_is_again[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "if now < tonumber(taken) + key_life * 1000 then",
        "if true then",
        "engine/redis/test_engine.py::TestRedis::test_a_key_holds_for_five_minutes[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "if size + 4 * accepted <= CARRIED then -- each length takes some bytes too",
        "if true then",
        "engine/redis/test_announcements.py::test_large_ones_are_asked_for[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "if created == 1 or keeps == '1' then",
        "if created == 1 then",
        "engine/redis/test_engine.py::TestRedis::test_with_keep_each_publish_begins_linger_again[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "local watchers = count_watchers(now, node) + tonumber(here)",
        "local watchers = count_watchers(now, '') + tonumber(here)",
        "engine/redis/test_engine.py::TestRedis::test_how_many_watch_is_told[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "life.newest = life.newest + accepted",
        "life.newest = life.newest + 1",
        "engine/redis/test_engine.py::TestRedis::test_the_messages_of_one_publish_stand_next_to_each_other_in_their_order[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "size = size + life.size",
        "size = size + 0",
        "engine/redis/test_engine.py::test_the_bytes_that_a_ring_counts_are_those_of_the_messages_in_it[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "local stamp = whole(now < before and before + 1 or now)",
        "local stamp  = whole(now)",
        "engine/redis/test_engine.py::test_no_two_messages_of_a_ring_have_one_time_where_the_clock_goes_back[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "while length > queue or (length > 1 and (size > queue_bytes or is_old())) do",
        "while length > queue or size > queue_bytes or (length > 1 and is_old()) do",
        "engine/redis/test_engine.py::test_the_bytes_that_a_ring_counts_are_those_of_the_messages_in_it[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "size = size - (#oldest - string.find(oldest, ' ', 1, true))",
        "size = size - #oldest",
        "engine/redis/test_engine.py::test_the_bytes_that_a_ring_counts_are_those_of_the_messages_in_it[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "length = length - 1",
        "length = length - 2",
        "engine/redis/test_engine.py::test_the_bytes_that_a_ring_counts_are_those_of_the_messages_in_it[system]",
    ),
    row(
        "engine/redis/lua/publish.lua",
        "redis.call('PEXPIRE', RING, math.max(1, redis.call('PTTL', TOPIC)))",
        "redis.call('PTTL', TOPIC)",
        "engine/redis/test_engine.py::test_a_ring_that_was_begun_again_ends_with_its_topic[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "local is_lost = known > life.newest",
        "local is_lost = false",
        "engine/redis/test_engine.py::TestLostLives::test_a_store_that_fell_behind_and_got_nothing_since_is_noticed[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "is_lost = string.sub(entry, 1, #known_stamp + 1) ~= known_stamp .. ' '",
        "is_lost = false",
        "engine/redis/test_engine.py::TestLostLives::test_a_store_that_fell_behind_does_not_give_other_messages_at_the_same_offsets[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "if others == 0 and not is_told and not life.ended then",
        "if false then",
        "engine/redis/test_directory.py::test_a_feeder_sleeps_at_one_node_until_somebody_watches_at_the_other[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "elseif told then",
        "elseif false then",
        "engine/redis/test_engine.py::TestTwoNodes::test_a_node_that_goes_quietly_stops_counting_at_once_and_its_topics_linger[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "local is_farewell = here == 0 and known_epoch == '' and fresh_epoch == ''",
        "local is_farewell = false",
        "engine/redis/test_mirrors.py::test_a_node_that_goes_is_not_given_its_rings_once_more[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "redis.call('HDEL', WATCHES, each)",
        "redis.call('PING')",
        "engine/redis/test_engine.py::TestTwoNodes::test_a_node_that_died_leaves_nothing_at_a_topic_that_lives_on[system]",
    ),
    row(
        "engine/redis/lua/sync.lua",
        "local is_mine = here > 0 and known_epoch ~= '' and redis.call('HGET', TOPIC, 'epoch') == known_epoch",
        "local is_mine = false",
        "engine/redis/test_engine.py::test_a_node_that_renews_its_lease_too_late_goes_on_in_the_life_that_it_has[system]",
    ),
)
