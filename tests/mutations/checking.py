"""Breaks of what checks long bodies in portions."""

from tests.mutations.row import Row

row = Row.of

CHECKING = "web/test_checking.py::"
SEVERAL = "web/test_publish_several.py::"

ROWS: tuple[Row, ...] = (
    row(
        "web/checking.py",
        "elif not connection.count_incoming(size):",
        "elif False:",
        CHECKING + "test_very_many_long_bodies_take_turns_and_count_while_they_are_checked[/topics/a]",
    ),
    row(
        "web/checking.py",
        "self._lines, self._text = [], None\nself.connection.count_incoming(0)",
        "self._lines, self._text = [], None\npass",
        CHECKING + "test_very_many_long_bodies_take_turns_and_count_while_they_are_checked[/topics/a]",
    ),
    row(
        "web/checking.py",
        "lines, left = self._lines, PORTION",
        "lines, left = self._lines, PORTION * 1000",
        "web/test_portions.py::TestPublishing::test_a_long_message_is_checked_a_portion_in_a_turn[]",
    ),
    row(
        "web/readers/websocket/websocket.py",
        "if len(text) > LONG:",
        "if False:",
        CHECKING + "test_a_long_message_on_a_websocket_is_checked_a_portion_in_a_turn_and_keeps_its_place",
    ),
    row(
        "http1/protocol.py",
        "if (self._pending or self._has_work()) and (exchange is None or exchange.takes_data):",
        "if self._pending and (exchange is None or exchange.takes_data):",
        CHECKING + "test_a_websocket_is_not_read_while_a_message_is_checked",
    ),
    row(
        "http1/protocol.py",
        "if self._pending or self._at_eof or self._has_work():",
        "if self._pending or self._at_eof:",
        CHECKING + "test_a_message_is_checked_on_once_its_sender_takes_what_others_say",
    ),
    row(
        "http1/protocol.py",
        "if self._pending and exchange.takes_data and not self._has_work():",
        "if False:",
        CHECKING + "test_a_long_message_on_a_websocket_is_checked_a_portion_in_a_turn_and_keeps_its_place",
    ),
    row(
        "web/longtext.py",
        "self._before = before + indent_of(text)",
        "self._before = indent_of(text)",
        CHECKING + "test_long_lines_for_several_topics_are_checked_a_portion_in_a_turn",
    ),
    row(
        "web/publish_several.py",
        'if message != b"0" or raw_member(line[:begin] + b"1" + line[end:], "message") != b"1":',
        'if message != b"0":',
        SEVERAL + "test_a_long_line_has_one_long_member_which_is_the_message",
    ),
    row(
        "core/waking.py",
        "if self.room <= least:",
        "if False:",
        "core/test_waking.py::test_what_is_written_for_each_is_bounded_in_a_turn[True-40]",
    ),
    row(
        "core/waking.py",
        "self._crowds.append((topic, chain(portion[woken:], rest)))",
        "self._crowds.append((topic, rest))",
        "core/test_waking.py::test_what_is_written_for_each_is_bounded_in_a_turn[True-1000]",
    ),
    row(
        "core/waking.py",
        "self._shared = None\nshared = Shared(now)",
        "shared = self._shared or Shared(now)\nself._shared = None",
        "web/readers/test_stream.py::test_messages_around_one_who_comes_back_in_their_turn_reach_all_who_stand_at_its_place[Ndjson-a]",
    ),
    row(
        "core/waking.py",
        "self._shared = None\nshared = Shared(now)",
        "shared = Shared(now)",
        "core/test_waking.py::TestWaking::test_what_those_have_in_common_who_begin_ends_with_the_next_flush",
    ),
    row(
        "web/readers/stream.py",
        "made = self._make(hub.share(now))",
        "made = self._make(Shared(now))",
        "web/readers/test_stream.py::test_those_who_come_back_in_one_turn_share_what_they_missed_and_leave_room_for_others[a,b?since=a=epoch000.0,b=epoch001.0-10]",
    ),
    row(
        "web/readers/stream.py",
        "if not self.action.asked.every and hub.room > 0 and subscription.is_behind():",
        "if not self.action.asked.every and subscription.is_behind():",
        "web/readers/test_stream.py::test_those_who_come_back_in_one_turn_share_what_they_missed_and_leave_room_for_others[a?since=epoch000.0-5]",
    ),
    row(
        "web/readers/stream.py",
        "if made is None or made.ends or not made.is_all:",
        "if made is None or not made.is_all:",
        "web/test_ends.py::test_filters_do_not_hide_the_end[ndjson]",
    ),
    row(
        "web/readers/stream.py",
        "self.action.engine.hub.room -= size // COPIES",
        "pass",
        "web/test_portions.py::TestTurns::test_a_large_message_is_written_to_some_of_its_readers_in_a_turn[40-sse]",
    ),
    row(
        "web/readers/longpoll.py",
        "action.engine.hub.room -= len(made.data) // COPIES",
        "pass",
        "web/test_portions.py::TestTurns::test_a_large_message_is_written_to_some_of_its_readers_in_a_turn[40-longpoll]",
    ),
    row(
        "web/readers/eventsource.py",
        "if len(message) > FRAME and ends * len(_NEXT_LINE) > len(message):",
        "if False:",
        "web/readers/test_eventsource.py::test_a_large_message_of_line_ends_becomes_no_more_than_twice_as_long[\\n]",
    ),
    row(
        "http1/protocol.py",
        "elif len(data) + len(self._pending) + self._incoming > SMALL and self.server.turns.is_late():",
        "elif len(data) > SMALL and self.server.turns.is_late():",
        "http1/test_turns.py::TestBursts::test_they_take_turns",
    ),
    row(
        "http1/protocol.py",
        "elif len(data) + len(self._pending) + self._incoming > SMALL and self.server.turns.is_late():",
        "elif False:",
        "http1/test_turns.py::TestBursts::test_they_take_turns",
    ),
    row(
        "http1/protocol.py",
        "if latest.action.takes_time and self.server.turns.is_late():",
        "if False:",
        "http1/test_turns.py::TestBursts::test_they_take_turns",
    ),
    row(
        "http1/request_reader.py",
        "is_late = self._heads.latest.action.takes_time and self.server.turns.is_late()",
        "is_late = False",
        "http1/test_turns.py::TestBursts::test_they_take_turns",
    ),
    row(
        "http1/request_reader.py",
        "if self._is_heavy() and self.server.turns.is_late():",
        "if False:",
        "http1/test_turns.py::TestBursts::test_messages_on_websockets_take_turns[off]",
    ),
    row(
        "http1/request_reader.py",
        "return is_slow or len(self._pending) + self._incoming > SMALL",
        "return len(self._pending) + self._incoming > SMALL",
        "http1/test_turns.py::TestBursts::test_messages_on_websockets_take_turns[websocket]",
    ),
    row(
        "http1/turns.py",
        "return not self._serves and self.is_over()",
        "return self.is_over()",
        "http1/test_turns.py::TestBursts::test_its_turn_serves_a_request_though_the_turn_is_over_by_then",
    ),
    row(
        "web/readers/websocket/websocket.py",
        "self.action.engine.hub.room -= COMPRESSING * len(data)",
        "pass",
        "web/readers/websocket/test_deflate.py::test_readers_with_other_windows_are_written_to_in_other_turns",
    ),
    row(
        "web/readers/websocket/deflate.py",
        "return _SMALLEST <= size <= _LARGEST",
        "return _SMALLEST <= size",
        "web/readers/websocket/test_deflate.py::test_what_is_very_large_is_sent_as_it_is",
    ),
    row(
        "web/readers/shared.py",
        "hub.room -= _PLACE * len(batch.before)",
        "pass",
        "web/test_portions.py::TestTurns::test_readers_of_very_many_topics_are_written_to_some_at_a_time[100-ndjson]",
    ),
    row(
        "core/listeners.py",
        "self._turns.spend(_TELLING * len(portion))",
        "pass",
        "web/test_portions.py::TestTurns::test_topics_are_created_under_very_many_readers_of_patterns_some_at_a_time[read]",
    ),
    row(
        "web/publish_several.py",
        "if hub.room <= 0:  # A topic that is created is told to very many readers of patterns.",
        "if False:",
        "web/test_portions.py::TestTurns::test_topics_are_created_under_very_many_readers_of_patterns_some_at_a_time[publish]",
    ),
    row(
        "web/readers/opening.py",
        "if before and hub.room <= 0:  # A topic that is created is told to very many readers of patterns.",
        "if False:",
        "web/test_portions.py::TestTurns::test_topics_are_created_under_very_many_readers_of_patterns_some_at_a_time[read]",
    ),
    row(
        "http1/arrivals.py",
        "left = BEGUN_AT_A_TIME",
        "left = 1000",
        "http1/test_arrivals.py::test_handshakes_that_come_together_begin_some_in_a_turn[asyncio]",
    ),
    row(
        "web/readers/shared.py",
        "if made.batch.several:",
        "if False:",
        "web/test_portions.py::TestTurns::test_readers_of_the_same_very_many_topics_are_written_to_some_at_a_time[ndjson-message]",
    ),
    row(
        "core/several.py",
        "self._hub.room -= _LEAVING * len(over)",
        "pass",
        "core/test_subscription.py::test_to_leave_topics_that_have_ended_counts_as_work",
    ),
    row(
        "core/several.py",
        "count = len(reading.messages) + reading.ended",
        "count = len(reading.messages)",
        "web/test_portions.py::TestTurns::test_ends_of_very_many_topics_are_told_a_portion_in_a_turn[sse]",
    ),
    row(
        "core/cursor.py",
        'self._pairs[name] = f"{spell(name)}={cursor}"',
        "pass",
        "core/test_cursor.py::test_places_that_move_one_at_a_time_are_spelled_as_all_of_them_are",
    ),
    row(
        "core/listeners.py",
        "portion = [followers.popleft() for _ in range(min(_FOLLOWERS, len(followers)))]",
        "portion = [followers.popleft() for _ in range(len(followers))]",
        "web/test_portions.py::TestCreation::test_a_topic_is_created_under_some_of_them_in_a_turn[GET]",
    ),
    row(
        "core/listeners.py",
        "if topic.watchers:",
        "if True:",
        "core/test_listeners.py::test_very_many_followers_are_told_in_several_turns_but_for_those_that_have_no_room",
    ),
    row(
        "core/listeners.py",
        "topic.active_until = max(topic.active_until, now + _LASTS)",
        "pass",
        "web/test_portions.py::TestCreation::test_polls_without_linger_are_all_answered",
    ),
    row(
        "core/listeners.py",
        "if not topic.is_over:  # Else they have heard of the life in its place.",
        "if True:",
        "web/test_portions.py::TestCreation::test_a_life_that_is_lost_meanwhile_is_followed_by_the_next_for_each",
    ),
    row(
        "engine/memory.py",
        "watchers = len(topic.watchers) + topic.joining",
        "watchers = len(topic.watchers)",
        "web/test_portions.py::TestCreation::test_a_topic_is_created_under_some_of_them_in_a_turn[POST]",
    ),
    row(
        "core/waking.py",
        "for watcher in portion[woken:]:",
        "for watcher in portion[:0]:",
        "web/test_portions.py::TestCreation::test_a_topic_is_created_under_some_of_them_in_a_turn[POST]",
    ),
    row(
        "core/several.py",
        "if self._hub.is_free():",
        "if True:",
        "web/test_portions.py::TestGoing::test_they_leave_some_in_a_turn_and_are_given_nothing_meanwhile[False--ndjson]",
    ),
    row(
        "web/readers/stream.py",
        "elif self._gathers_until == math.inf and self.connection.is_held_by(self) and self.subscription.is_behind():",
        "elif self._gathers_until == math.inf and self.subscription.is_behind():",
        "web/test_portions.py::TestGoing::test_they_leave_some_in_a_turn_and_are_given_nothing_meanwhile[False-?every=5s-ndjson]",
    ),
    row(
        "web/readers/longpoll.py",
        "self._ignores_wakes = True\nself._subscription.leave_soon(self, self._connection.server.now())",
        "self._subscription.leave_soon(self, self._connection.server.now())\npass",
        "web/test_portions.py::TestGoing::test_they_leave_some_in_a_turn_and_are_given_nothing_meanwhile[False--longpoll]",
    ),
    row(
        "web/readers/longpoll.py",
        "if self._subscription.is_over() and self._connection.is_held_by(self):",
        "if self._subscription.is_over():",
        "web/test_portions.py::TestGoing::test_they_leave_some_in_a_turn_and_are_given_nothing_meanwhile[True--longpoll]",
    ),
)
