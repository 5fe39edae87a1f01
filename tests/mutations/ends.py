"""Breaks of how topics end, and of publishing to several."""

from tests.mutations.row import Row

row = Row.of

ROWS: tuple[Row, ...] = (
    row(
        "core/waking.py",
        "last = topic.last + topic.ended  # A watcher that has all messages is woken for the end.",
        "last = topic.last",
        "web/publishing/test_ends.py::test_nobody_who_waits_is_kept_and_all_are_told_once",
    ),
    row(
        "core/hub.py",
        "if topic.last > offset or topic.ended:",
        "if topic.last > offset:",
        "web/publishing/test_ends.py::test_a_reader_at_the_end_is_told_at_once[longpoll]",
    ),
    row(
        "core/hub.py",
        "if self.listeners.count_listeners and not topic.ended:",
        "if self.listeners.count_listeners:",
        "engine/test_memory.py::TestMemory::test_who_sleeps_until_a_topic_is_watched_sleeps_on_when_one_reads_an_ended_one",
    ),
    row(
        "core/reading.py",
        "topic.ended and upto == topic.last,",
        "topic.ended,",
        "web/publishing/test_ends.py::test_a_portion_before_the_end_does_not_say_that_it_ended[longpoll]",
    ),
    row(
        "core/several.py",
        "if not left <= 0 < max_bytes and (sift is None or not has_more or sift.has_all(topic)):",
        "if not left <= 0 < max_bytes and (sift is None or sift.has_all(topic)):",
        "web/publishing/test_ends.py::test_of_several_topics_a_filter_does_not_hide_the_end_of_one[sse]",
    ),
    row(
        "core/several.py",
        "return {last: places[last]}, True",
        "return {}, True",
        "web/publishing/test_ends.py::test_when_all_have_ended_the_last_place_is_the_end[ndjson]",
    ),
    row(
        "core/several.py",
        "places[name] = Cursor(places[name].epoch, ENDED)",
        "del places[name]",
        "web/publishing/test_ends.py::test_a_pattern_reader_goes_on_and_is_told_once[longpoll]",
    ),
    row(
        "core/several.py",
        "for topic in [topic for topic in self._over if topic.is_over]:",
        "for topic in list[Topic]():",
        "web/publishing/test_ends.py::test_a_pattern_reader_forgets_what_is_gone[eventsource]",
    ),
    row(
        "engine/memory.py",
        "if topic is not None and topic.ended:\nreturn TopicEnded()",
        "if False:\nreturn TopicEnded()",
        "web/publishing/test_ends.py::test_what_comes_after_the_end_is_409_and_changes_nothing",
    ),
    row(
        "web/readers/eventsource.py",
        "if self.asked.returns and subscription.has_all() and not subscription.is_unsettled():",
        "if False:",
        "web/publishing/test_ends.py::test_an_event_source_that_comes_back_is_stopped_by_204",
    ),
    row(
        "web/readers/stream.py",
        "subscription.leave_ended(made.batch, self, shared.now)",
        "pass",
        "web/publishing/test_ends.py::test_a_topic_that_ended_leaves_the_vector_and_the_others_go_on[ndjson]",
    ),
    row(
        "web/readers/websocket/websocket.py",
        "conversation.close(CloseCode.NORMAL_CLOSURE)",
        "conversation.close()",
        "web/publishing/test_ends.py::test_a_websocket_is_closed_with_1000",
    ),
    row(
        "web/readers/request.py",
        "return self._leaves and topic.ended and topic.name not in self._vector",
        "return False",
        "web/publishing/test_ends.py::test_a_topic_that_ended_leaves_the_vector_and_the_others_go_on[longpoll]",
    ),
    row(
        "web/readers/request.py",
        "self._left = {name: epoch for name, epoch in left.items() if self._asks_for(name)}",
        "self._left = left",
        "web/publishing/test_ends.py::test_an_end_in_a_vector_of_what_was_not_asked_for_means_nothing[longpoll]",
    ),
    row(
        "web/readers/shared.py",
        "return _check_room(SeveralTopics(hub, {topic: Place(topic.last) for topic in found}), longest)",
        "over.clear()",
        "web/publishing/test_ends.py::test_a_reader_that_names_what_its_patterns_took_in_is_given_nothing_twice[longpoll]",
    ),
    row(
        "engine/redis/mirrors.py",
        "if topic.last == newest and mirror.is_at(carried):",
        "if True:",
        "engine/redis/test_ends.py::test_an_end_that_comes_before_its_messages_is_not_taken_for_the_end_of_what_is_there[system]",
    ),
    row(
        "engine/redis/mirrors.py",
        "return topic is not None and topic.ended",
        "return False",
        "engine/redis/test_engine.py::TestRedis::test_readers_of_patterns_that_return_do_not_let_an_ended_topic_linger[system]",
    ),
    row(
        "engine/redis/lua/common.lua",
        "ended = found[7] == found[1], -- an older slosh begins a life and leaves `ended` as it was",
        "ended = found[7] ~= false,",
        "engine/redis/test_former.py::test_a_life_that_the_former_node_begins_has_not_ended[system]",
    ),
    row(
        "web/publishing/publish_several.py",
        "hub.put_off(self._publish_more)",
        "self._publish_more()",
        "web/publishing/test_publish_several.py::test_very_many_lines_and_topics_do_not_hold_the_others_up",
    ),
)
