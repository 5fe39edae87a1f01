"""Breaks of the Python client, and of the server inside another program."""

from tests.mutations.row import Row

row = Row.of

ROWS: tuple[Row, ...] = (
    row(
        "client/synchronous.py",
        "self._lock = threading.Lock()\nself._http = None\nself._process = os.getpid()",
        "self._http = None\nself._process = os.getpid()",
        "client/test_synchronous.py::test_a_fork_while_another_thread_connects_does_not_wait_for_that_thread",
    ),
    row(
        "client/iterator.py",
        "self._items = self._reader.run(notes=self._notes)  # A notebook's cell was stopped: the next one goes on.",
        "pass",
        "client/test_synchronous.py::test_an_iteration_that_ctrl_c_stopped_goes_on_where_it_was",
    ),
    row(
        "client/protocol.py",
        "self.truncated = True",
        "pass",
        "client/test_synchronous.py::test_what_the_ring_has_no_more_of_is_told_to_who_asks_for_a_time",
    ),
    row(
        "client/protocol.py",
        "self.polls = self.polls or silent",
        "self.polls = False",
        "client/test_slow_proxies.py::test_where_streams_are_kept_back_polls_bring_the_messages",
        "client/test_slow_proxies.py::test_where_streams_are_kept_back_polls_bring_the_messages_with_a_loop",
    ),
    row(
        "client/protocol.py",
        "self.place = place or self.place",
        "pass",
        "client/test_slow_proxies.py::test_a_proxy_that_gives_up_early_costs_nothing",
        "client/test_slow_proxies.py::test_a_line_that_breaks_again_and_again_loses_and_doubles_nothing",
    ),
    row(
        "client/protocol.py",
        "self._broken = self.place if first else None",
        "self._broken = None",
        "client/test_protocol.py::TestUnreadable::test_an_event_that_broke_is_asked_for_once_more_then_told",
        "client/test_protocol.py::TestUnreadable::test_nothing_of_an_answer_comes_twice_where_one_message_of_it_broke",
    ),
    row(
        "client/values.py",
        "if math.isfinite(number):",
        "if number == number:",
        "client/test_values.py::test_a_number_that_no_int_and_no_float_holds_is_exact[1e400]",
    ),
    row(
        "client/pieces.py",
        'elif mark == "," and depth == 1:',
        'elif mark == ",":',
        "client/test_pieces.py::test_the_elements_of_any_array",
        "client/test_pieces.py::test_the_members_of_any_object",
    ),
    row(
        "client/async_iterator.py",
        "self._loop.call_soon_threadsafe(self._task.cancel)",
        "pass",
        "client/test_asynchronous.py::test_a_half_read_iterator_that_is_dropped_is_no_watcher_and_leaves_no_task",
    ),
    row(
        "client/batching.py",
        "said = max(1, published.queue // 2), max(1, published.queue_bytes // 2)",
        "said = published.queue, published.queue_bytes",
        "client/test_batching.py::test_a_batch_is_half_of_what_its_topic_keeps_as_soon_as_that_is_known",
    ),
    row(
        "client/batching.py",
        "if number == most or (number and size < 0):",
        "if number == most or size < 0:",
        "client/test_batching.py::test_a_batch_is_bounded_in_bytes_by_half_of_what_is_kept_and_by_half_a_mebibyte",
    ),
    row(
        "client/publisher.py",
        "if isinstance(error, Refused) and not passes(error.status):",
        "if isinstance(error, Refused):",
        "client/test_publisher.py::test_an_answer_that_passes_keeps_the_messages[502]",
    ),
    row(
        "client/publisher.py",
        "return len(self._waiting) >= lines or self._size >= size",
        "return False",
        "client/test_publisher.py::test_a_whole_batch_is_not_gathered_any_longer",
    ),
    row(
        "client/publisher.py",
        "wait = due - now if self._eager else self._every",
        "wait = self._every",
        "client/test_publisher.py::test_an_eager_one_sends_the_first_at_once_and_gathers_the_next",
    ),
    row(
        "commands/publishing.py",
        "publisher.flush(_PARTING)",
        "pass",
        "commands/test_pub.py::test_who_ends_it_has_what_was_read_published_or_is_told_how_much_was_not[2-130]",
    ),
    row(
        "commands/lines.py",
        "self.broken += 1",
        "raise",
        "commands/test_pub.py::test_a_line_that_is_no_json_is_left_out_and_told_and_the_others_are_published",
    ),
    row(
        "client/publisher.py",
        "self._asleep: set[str] = set()  # topics that nobody watches, while somebody waits for that to change",
        'self._asleep: set[str] = getattr(self, "_asleep", set())',
        "client/test_publisher.py::test_a_child_asks_for_itself_whether_a_topic_is_watched",
    ),
    row(
        "client/publisher.py",
        "self._changed = threading.Condition()\nself._waiting.clear()",
        "self._waiting.clear()",
        "client/test_publisher.py::test_a_child_sends_what_it_was_given_and_the_parent_the_rest[silent-held]",
    ),
    row(
        "client/publisher.py",
        "self._process = os.getpid()",
        "self._process, self._closing = os.getpid(), False",
        "client/test_publisher.py::test_a_publisher_that_was_closed_stays_so_in_a_child",
    ),
    row(
        "client/values.py",
        'if str(getattr(value, "dtype", "")) == "datetime64[ns]":  # numpy makes integers of nanoseconds',
        "if False:",
        "client/test_values.py::test_numpy_and_pandas_values_are_numbers_lists_and_texts",
    ),
    row(
        "client/values.py",
        "return dt.datetime.combine(value.date(), value.timetz()) if value == value else None  # noqa: PLR0124",
        "return dt.datetime.combine(value.date(), value.timetz())",
        "client/test_values.py::test_numpy_and_pandas_values_are_numbers_lists_and_texts",
    ),
    row(
        "client/history.py",
        'return path if self.by is None else f"{path} {self.by}"',
        "return path",
        "client/test_history.py::test_columns_are_arrays_and_frames_with_nan_where_no_number_came",
    ),
    row(
        "asgi/messages.py",
        'self.messages[-1]["more_body"] = False  # One message less is a good part of what a short answer costs.',
        "pass",
        "asgi/test_asgi.py::test_a_short_answer_is_one_message_behind_its_head",
    ),
    row(
        "asgi/exchange.py",
        "if request.is_whole:",
        "if False:",
        "asgi/test_asgi.py::test_what_is_answered_at_once_costs_no_task",
    ),
    row(
        "asgi/exchange.py",
        "self._transport.close()  # Also where the ASGI server fails, so that nobody waits for an answer.",
        "pass",
        "asgi/test_asgi.py::test_an_asgi_server_that_fails_leaves_no_reader_behind",
    ),
    row(
        "asgi/websocket.py",
        "return (begin, end) if end <= len(data) else None",
        "return (begin, end)",
        "asgi/test_asgi.py::test_frames_are_found_however_long_they_are_and_wherever_they_are_cut[126]",
    ),
    row(
        "asgi/__init__.py",
        "loop.call_soon_threadsafe(self._stop_soon)",
        "pass",
        "asgi/test_embedding.py::test_a_handler_that_was_there_is_called_and_one_that_ends_the_process_is_left",
    ),
    row(
        "asgi/__init__.py",
        "before(number, frame)",
        "pass",
        "asgi/test_embedding.py::test_a_handler_that_was_there_is_called_and_one_that_ends_the_process_is_left",
    ),
    row(
        "asgi/__init__.py",
        "if callable(before):  # else the process ends at once",
        "if True:",
        "asgi/test_embedding.py::test_a_handler_that_was_there_is_called_and_one_that_ends_the_process_is_left",
    ),
    row(
        "client/dataframe.py",
        "topics = [each.topic for each in kept]",
        'topics = ["" for each in kept]',
        "client/test_dataframe.py::test_messages_that_are_no_objects_and_several_topics",
    ),
)
