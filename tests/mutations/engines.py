"""Breaks of the engines, in memory and over a store."""

from tests.mutations.row import Row

row = Row.of

ROWS: tuple[Row, ...] = (
    row("cli.py", "spare_collector()", "pass", "test_cli.py::test_serving_spares_the_garbage_collector"),
    row(
        "engine/idempotency.py",
        "return found[1].again() if found is not None else None",
        "return found[1] if found is not None else None",
        "engine/test_idempotency.py::test_an_answer_is_given_again_and_marked",
    ),
    row(
        "engine/idempotency.py",
        "self.forgotten += 1",
        "pass",
        "engine/test_idempotency.py::test_beyond_the_bound_the_oldest_go_and_are_counted",
    ),
    row(
        "engine/idempotency.py",
        "while self._answers and next(iter(self._answers.values()))[0] <= now:",
        "while False:",
        "engine/test_idempotency.py::test_against_a_list_of_all_that_was_ever_kept",
    ),
    row(
        "engine/memory.py",
        "replay = self.replays.find(name, key, now) if key else None",
        "replay = None",
        "engine/test_memory.py::TestMemory::test_a_publish_that_comes_again_with_its_key_is_taken_once",
    ),
    row(
        "engine/memory.py",
        "self.replays.keep(name, key, now, published)",
        'self.replays.keep("", key, now, published)',
        "engine/test_memory.py::TestMemory::test_a_publish_that_comes_again_with_its_key_is_taken_once",
    ),
    row(
        "engine/redis_collecting.py",
        "is_new = name not in self._names and len(self._names) < _MOST_GATHERED",
        "is_new = name not in self._names",
        "engine/test_redis_directory.py::test_no_more_topics_are_opened_for_a_reader_of_patterns_than_it_may_come_to",
    ),
    row(
        "engine/redis_collecting.py",
        "is_new = name not in self._names and len(self._names) < _MOST_GATHERED",
        "is_new = len(self._names) < _MOST_GATHERED",
        "engine/test_redis_directory.py::test_no_more_topics_are_opened_for_a_reader_of_patterns_than_it_may_come_to",
    ),
    row(
        "engine/redis_collecting.py",
        "if is_new and any(matches(pattern, name) for pattern in self._patterns):",
        "if is_new:",
        "engine/test_redis_directory.py::test_no_more_topics_are_opened_for_a_reader_of_patterns_than_it_may_come_to",
    ),
    row(
        "engine/redis_link.py",
        "self._batch.popleft().give_up()",
        "self._undone.append(self._batch.popleft())",
        "engine/test_redis_link.py::test_what_was_done_and_not_answered_before_a_cut_is_not_done_again[system]",
    ),
    row(
        "engine/redis_mirror.py",
        'if last + len(messages) != newest or before != (self.stamp or b"-"):',
        "if last + len(messages) != newest:",
        "engine/test_redis_announcements.py::test_messages_that_a_store_forgot_are_not_gone_on_from[system]",
    ),
    row(
        "engine/redis_mirror.py",
        'if last + len(messages) != newest or before != (self.stamp or b"-"):',
        'if before != (self.stamp or b"-"):',
        "engine/test_redis.py::TestLostLives::test_a_store_that_fell_behind_does_not_give_other_messages_at_the_same_offsets[system]",
    ),
    row(
        "engine/redis_mirrors.py",
        "mirror.waiting.pop(opened, None)",
        "pass",
        "engine/test_redis_mirrors.py::test_who_went_while_the_store_was_out_of_reach_leaves_nothing_behind[system]",
    ),
    row(
        "engine/redis_mirrors.py",
        "if topic is None or topic.epoch != epoch.decode():",
        "if topic is None:",
        "engine/test_redis.py::TestLostLives::test_a_publish_alone_shows_it_too[system]",
    ),
    row(
        "engine/redis_mirrors.py",
        "mirror.again = True\nelse:",
        "pass \nelse:",
        "engine/test_redis_mirrors.py::test_an_answer_for_a_mirror_that_ended_meanwhile_is_not_taken_for_all_there_is[system]",
    ),
    row(
        "engine/redis_mirrors.py",
        "mirror.waiting[opened] = None\nif mirror.is_heard:",
        "mirror.waiting[opened] = None\nif  True:",
        "engine/test_redis_mirrors.py::test_opening_a_topic_costs_the_store_one_look[system]",
    ),
    row(
        "engine/redis_sent.py",
        "self.settle(EngineUnreachable(UNKNOWN if self.is_out else NOT_SENT))",
        "self.settle(EngineUnreachable(NOT_SENT))",
        "engine/test_redis_link.py::test_what_was_done_and_not_answered_before_a_cut_is_not_done_again[system]",
    ),
    row(
        "engine/redis_wire.py",
        "if self.is_open:",
        "if True:",
        "engine/test_redis_wire.py::test_nothing_is_written_to_one_that_has_broken[system-asyncio]",
    ),
    row(
        "engine/redis_wire.py",
        "if not self.broken.done():",
        "if True:",
        "engine/test_redis_wire.py::test_who_closes_it_waits_for_nothing_and_leaves_nothing_open[system-asyncio]",
    ),
    row(
        "engine/redis_wire.py",
        "while (reply := reader.gets()) is not _NOTHING and not self.broken.done():",
        "while (reply := reader.gets()) is not _NOTHING:",
        "engine/test_redis_wire.py::test_replies_behind_the_one_that_broke_it_are_given_to_nobody[system-asyncio]",
    ),
    row(
        "server.py",
        "edge.max_connections = min(self.settings.max_connections, free - edge.max_downloads)",
        "edge.max_connections = self.settings.max_connections",
        "test_server.py::test_it_takes_no_more_connections_than_it_may_open_files",
    ),
    row(
        "server.py",
        "edge.first_spare = max(limit - SPARE_FILES, limit // 2)",
        "pass",
        "e2e/test_open_files.py::test_files_that_something_else_has_open_are_not_counted_on[asyncio]",
    ),
    row(
        "server.py",
        "self._listeners.append(await loop.create_server(lambda: connect(edge), sock=each, backlog=AT_A_TIME))",
        "self._listeners.append(await loop.create_server(lambda: connect(edge), sock=each, backlog=BACKLOG))",
        "test_server.py::test_a_crowd_is_accepted_a_few_at_a_time_and_waits_in_the_systems_queue[asyncio]",
    ),
    row(
        "server.py",
        "each.listen(BACKLOG)  # asyncio takes one number for both, and has set the system's queue to the other.",
        "pass",
        "test_server.py::test_a_crowd_is_accepted_a_few_at_a_time_and_waits_in_the_systems_queue[asyncio]",
        "test_server.py::test_a_crowd_is_accepted_a_few_at_a_time_and_waits_in_the_systems_queue[uvloop]",
    ),
)
