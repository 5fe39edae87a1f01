"""Breaks of classes of topics, of histories, and of how memory and topics are shared among clients."""

from tests.mutations.row import Row

row = Row.of

ROWS: tuple[Row, ...] = (
    row(
        "web/readers/history.py",
        "if not hub.histories.has_room:",
        "if False:",
        "web/readers/test_history.py::test_histories_that_are_asked_for_of_very_much_at_a_time_miss_nothing_elsewhere",
    ),
    row(
        "core/histories.py",
        "return kept, walls, arrivals[0].wall + (topic.fallen == topic.oldest)",
        "return kept, walls, arrivals[0].wall",
        "core/test_histories.py::test_of_a_batch_whose_first_messages_fell_off_not_all_is_known",
    ),
    row(
        "core/histories.py",
        "return kept, walls, NOT_KNOWN if topic.fallen == math.inf else topic.latest_wall or NOT_KNOWN",
        "return kept, walls, NOT_KNOWN if topic.fallen == math.inf else topic.latest_wall",
        "engine/test_snapshot.py::test_a_history_that_is_first_asked_for_afterwards_says_that_older_messages_are_missing",
    ),
    row(
        "core/histories.py",
        "spent += _BEGUN + _GATHERED * (topic.last - topic.first + 1)",
        "spent += _BEGUN",
        "core/test_histories.py::test_of_several_large_rings_one_turn_begins_one_history",
    ),
    row(
        "core/histories.py",
        "while self._due and self.has_room and spent < most:",
        "while self._due and spent < most:",
        "core/test_histories.py::test_histories_that_begin_in_a_reload_miss_nothing_that_comes_meanwhile",
    ),
    row(
        "core/rollups.py",
        "count = 1 + self._take(below, member, second, key, depth + 1)",
        "count = self._take(below, member, second, key, depth + 1)",
        "core/test_histories.py::test_objects_without_numbers_count_as_work[{}-False]",
    ),
    row(
        "core/rollups.py",
        "count = 1\nif depth < DEEPEST:",
        "count = 0\nif depth < DEEPEST:",
        "core/test_histories.py::test_objects_without_numbers_count_as_work[{}-True]",
    ),
    row(
        "core/rollups.py",
        "if number is not None and series is not None:",
        "if False:",
        "core/test_rollups.py::test_members_with_one_path_are_one_series_however_it_is_divided_into_names",
    ),
    row(
        "core/rollups.py",
        "count += len(group.ways)",
        "pass",
        "core/test_histories.py::test_the_names_that_lead_to_a_field_count_as_work",
    ),
    row(
        "web/readers/stream.py",
        "if sift is not None and (not subscription.is_behind() or (not connection.is_writable and sift.is_large())):",
        "if sift is not None and not subscription.is_behind():",
        "web/test_portions.py::test_for_a_client_that_takes_nothing_no_values_of_a_key_are_kept",
    ),
    row(
        "core/rollups.py",
        "group.since = NOT_KNOWN",
        "pass",
        "core/test_histories.py::test_what_is_passed_over_is_known_to_be_missing_before_anything_follows",
    ),
    row(
        "web/readers/history.py",
        "hub.begin_history(topic, by)",
        "pass",
        "web/readers/test_history.py::test_answers_by_more_fields_than_are_kept_have_all_each",
    ),
    row(
        "core/rollups.py",
        "return self.rolled >= upto and not self.is_catching_up",
        "return self.rolled >= upto",
        "web/readers/test_history.py::test_answers_by_more_fields_than_are_kept_have_all_each",
    ),
    row(
        "core/buckets.py",
        "self.forgotten = number",
        "pass",
        "core/test_buckets.py::test_a_number_for_which_there_is_no_memory_at_all_is_known_to_be_missing",
    ),
    row(
        "core/rollups.py",
        "self._unsized = deque(series for series in self._unsized if series not in gone)",
        "pass",
        "core/test_rollups.py::test_series_that_are_gone_are_not_made_longer",
    ),
    row(
        "core/rollups.py",
        "spent += self._unsized.popleft().resize(self.span)",
        "self._unsized.popleft().resize(self.span)",
        "core/test_histories.py::test_series_that_become_longer_or_shorter_in_a_reload_do_so_some_in_a_turn",
    ),
    row(
        "core/classes.py",
        "place = min(self._places.patterns_for(name), default=-1)",
        "place = max(self._places.patterns_for(name), default=-1)",
        "core/test_classes.py::test_the_first_pattern_that_takes_a_name_in_decides",
    ),
    row(
        "core/classes.py",
        "self.keeps_some = any(each.keeps for each in self.every)",
        "self.keeps_some = default.keeps",
        "core/test_classes.py::test_what_all_classes_have_in_common",
    ),
    row(
        "core/classes.py",
        "self.longest_linger = max(each.linger for each in self.every)",
        "self.longest_linger = default.linger",
        "core/test_classes.py::test_what_all_classes_have_in_common",
    ),
    row(
        "settings/classes.py",
        "if row is None or not row.of_class:",
        "if row is None:",
        "settings/test_classes.py::test_a_mistake_is_named_with_its_table",
    ),
    row(
        "core/deadlines.py",
        "self._aging.add(topic, topic.oldest + age + _SURELY)",
        "self._aging.add(topic, topic.oldest + age)",
        "core/test_classes.py::test_a_message_leaves_the_ring_when_it_is_as_old_as_its_class_allows_and_counts_as_lost",
    ),
    row(
        "core/hub.py",
        "kind.counts.fell_off += topic.fit(kind.queue, kind.queue_bytes)",
        "kind.counts.fell_off += topic.fit(kind.queue, 1 << 60)",
        "core/test_classes.py::test_a_class_that_keeps_fewer_bytes_than_before_shortens_its_rings",
    ),
    # Histories.
    row(
        "core/buckets.py",
        "if second != self._second or not self._count:",
        "if second > self._second + 1 or not self._count:",
        "core/test_buckets.py::test_each_second_is_a_bucket_of_its_own",
    ),
    row(
        "core/buckets.py",
        "self._means[newest] = self._means[newest] * (before / total) + mean * (count / total)",
        "self._means[newest] = (self._means[newest] + mean) / 2",
        "core/test_buckets.py::test_what_comes_into_one_bucket_is_counted_together",
    ),
    row(
        "core/buckets.py",
        "self._highs[newest] = max(self._highs[newest], high)",
        "self._highs[newest] = high",
        "core/test_buckets.py::test_what_comes_into_one_bucket_is_counted_together",
    ),
    row(
        "core/buckets.py",
        "self.forgotten = self._numbers[at]",
        "pass",
        "core/test_buckets.py::test_the_newest_buckets_are_kept_and_what_was_forgotten_is_known",
    ),
    row(
        "core/buckets.py",
        "self._at = (at + 1) % length",
        "self._at = at + 1",
        "core/test_buckets.py::test_the_newest_buckets_are_kept_and_what_was_forgotten_is_known",
    ),
    row(
        "core/buckets.py",
        "if self._at or not self._budget.take(_CHUNK * BUCKET):",
        "if not self._budget.take(_CHUNK * BUCKET):",
        "core/test_buckets.py::test_a_level_that_had_no_memory_and_wrote_over_its_oldest_does_not_grow_in_its_midst",
    ),
    row(
        "core/rollups.py",
        "if self._count >= self._most or not self._budget.take(Series.base()):",
        "if self._count > self._most or not self._budget.take(Series.base()):",
        "core/test_rollups.py::test_what_is_beyond_the_series_that_may_be_is_counted",
    ),
    row(
        "core/rollups.py",
        "series = node.series or node.by_path.get(node.path)",
        "series = node.series",
        "core/test_rollups.py::test_members_with_one_path_are_one_series_however_it_is_divided_into_names",
    ),
    row(
        "core/window.py",
        "self.points = -(-length // self.step)",
        "self.points = points",
        "core/test_window.py::test_it_reaches_back_as_far_as_was_asked_but_for_a_part_of_a_bucket",
    ),
    row(
        "core/rollups.py",
        "return number if number - number == 0.0 else None",
        "return number if number == number else None",
        "core/test_rollups.py::test_what_is_a_number_and_what_is_none",
    ),
    row(
        "core/rollups.py",
        "self.rolled = first.newest - len(first.messages) + first.at",
        "self.rolled = first.newest",
        "core/test_rollups.py::test_how_far_it_has_come_is_told_to_the_message",
    ),
    row(
        "core/rollups.py",
        "wall = first.wall if first.walls is None else next(first.walls)",
        "wall = first.wall",
        "core/test_rollups.py::test_what_the_ring_holds_is_looked_into_in_its_order",
    ),
    row(
        "core/rollups.py",
        "waiting.messages = ()",
        "pass",
        "core/test_rollups.py::test_what_still_waits_of_a_field_that_is_not_kept_is_not_looked_into",
    ),
    row(
        "core/window.py",
        "self.end = (now // (width * 1000) + 1) * width * 1000",
        "self.end = now // (width * 1000) * width * 1000",
        "core/test_window.py::test_it_reaches_back_as_far_as_was_asked_but_for_a_part_of_a_bucket",
    ),
    row(
        "core/window.py",
        "border = (window.start + (point + 1) * window.step) // width",
        "border = (window.start + (point + 1) * window.step) // width + 1",
        "core/test_window.py::test_a_bucket_at_the_border_of_a_step_belongs_to_the_later_one",
    ),
    row(
        "core/window.py",
        "return sum(mean * (columns.counts[at + place] / total) for place, mean in enumerate(means))",
        "return sum(means) / len(means)",
        "core/test_window.py::test_a_mean_weighs_each_bucket_by_its_numbers",
    ),
    row(
        "core/histories.py",
        "if rollups is not None and rollups.readers:",
        "if rollups is not None and rollups.readers > 1:",
        "core/test_histories.py::test_while_an_answer_is_made_of_a_history_nothing_new_comes_into_it",
    ),
    row(
        "core/histories.py",
        "rollups.release()",
        "pass",
        "core/test_histories.py::test_the_memory_of_a_history_is_given_back_with_its_topic",
    ),
    row(
        "core/histories.py",
        "self._unfinished[topic] = None  # behind the others",
        "pass",
        "core/test_histories.py::test_messages_are_looked_into_in_the_turn_behind_them_in_portions",
    ),
    # What each client may have.
    row(
        "core/budget.py",
        "if not self._budget.take(size):\nreturn False\nself.held += size",
        "if not self._budget.take(size):\nreturn False\npass",
        "core/test_reclaiming.py::TestOneClient::test_where_its_rings_do_not_suffice_histories_of_its_topics_end",
    ),
    row(
        "core/rings.py",
        "topic.share.held += growth",
        "pass",
        "core/test_reclaiming.py::test_whatever_happens_what_is_held_is_the_sum_of_all_rings_and_within_the_bound",
    ),
    row(
        "core/reclaiming.py",
        "if wanting is not None and wanting.share.opener and wanting.share.held + growth > part:",
        "if wanting is not None and wanting.share.opener and wanting.share.held > part:",
        "core/test_reclaiming.py::TestOneClient::test_beyond_its_part_a_client_takes_nothing_though_another_has_much_more",
    ),
    row(
        "core/reclaiming.py",
        "(share for share in shares.values() if share.opener and share.held > part), key=_held_of",
        "(share for share in shares.values() if share.held > part), key=_held_of",
        "core/test_reclaiming.py::TestOneClient::test_clients_that_no_address_tells_apart_take_and_do_not_give",
    ),
    row(
        "core/reclaiming.py",
        "self._heavy_until = now + self._again",
        "self._heavy_until = now",
        "core/test_reclaiming.py::TestOneClient::"
        "test_a_client_whose_rings_have_nothing_to_give_is_not_gone_over_with_each_post",
    ),
    row(
        "core/reclaiming.py",
        "if not ended:",
        "if ended:",
        "core/test_reclaiming.py::TestOneClient::"
        "test_a_client_whose_rings_have_nothing_to_give_is_not_gone_over_with_each_post",
    ),
    row(
        "engine/redis/mirrors.py",
        "self._hub.shares.expect_topic(mirror.opener)\nself._view.servers.listen(self._view.keys.channel(name))",
        "pass\nself._view.servers.listen(self._view.keys.channel(name))",
        "engine/redis/test_shares.py::"
        "test_what_a_reader_asks_for_counts_before_the_store_has_answered_and_until_it_is_over",
    ),
    row(
        "engine/redis/mirrors.py",
        "before, self._hub.opener = self._hub.opener, mirror.opener",
        'before, self._hub.opener = self._hub.opener, ""',
        "engine/redis/test_shares.py::"
        "test_what_a_reader_asks_for_counts_before_the_store_has_answered_and_until_it_is_over",
    ),
    row(
        "engine/redis/engine.py",
        "no_room = used_up if may_begin and not here else None",
        "no_room = None",
        "engine/redis/test_shares.py::"
        "test_a_client_whose_share_is_used_up_still_publishes_to_what_is_active_on_another_node",
    ),
    row(
        "engine/redis/directory.py",
        "for name in [name for name in self._openers if name not in self._listed_until]:",
        "for name in []:",
        "engine/redis/test_shares.py::test_what_a_publisher_creates_counts_until_it_is_over",
    ),
    row(
        "web/shares.py",
        "if engine.knows_all or not publishes:",
        "if engine.knows_all:",
        "engine/redis/test_shares.py::test_a_server_with_a_store_has_shares",
    ),
    row(
        "core/rollups.py",
        "if last is not None and last.group is None and not last.messages:",
        "if False:",
        "core/test_histories.py::test_what_is_missed_one_by_one_takes_no_memory",
    ),
    row(
        "core/rollups.py",
        "return sum(map(len, messages)) + _WAITING_EACH * len(messages) + _WAITING_TOGETHER",
        "return sum(map(len, messages)) + _WAITING_TOGETHER",
        "core/test_histories.py::test_small_messages_that_wait_are_counted_with_all_the_memory_that_they_take",
    ),
    row(
        "core/histories.py",
        "rollups.skip(topic.last)\nself._waiting += rollups.waiting - before",
        "rollups.skip(topic.last)\npass",
        "core/test_histories.py::test_nothing_is_counted_as_waiting_once_all_was_looked_into",
    ),
    row(
        "core/histories.py",
        "rollups.skip(topic.last)\nself._waiting += rollups.waiting - before\nself._unfinished[topic] = None",
        "rollups.skip(topic.last)\nself._waiting += rollups.waiting - before",
        "core/test_histories.py::test_a_history_does_not_wait_for_messages_that_were_passed_over",
    ),
    row(
        "core/buckets.py",
        "level.forgotten = seconds.forgotten * WIDTHS[0] // width",
        "pass",
        "core/test_buckets.py::test_a_width_that_is_new_knows_no_more_than_the_seconds_that_it_was_made_of",
    ),
    row(
        "web/readers/state.py",
        "work.fail()",
        "pass",
        "web/readers/test_history.py::test_an_answer_that_fails_is_refused_and_holds_up_neither_the_next_nor_the_history",
    ),
    row(
        "web/readers/state.py",
        "self._waiting.popleft()\nwork.fail()",
        "raise\nwork.fail()",
        "web/readers/test_history.py::test_an_answer_that_fails_is_refused_and_holds_up_neither_the_next_nor_the_history",
    ),
    row(
        "web/readers/history.py",
        "span = min(wanted.span, Histories.span_of(topic)) if wanted.is_bounded else wanted.span",
        "span = Histories.span_of(topic) if wanted.is_bounded else wanted.span",
        "web/readers/test_history.py::test_all_that_is_kept_can_be_asked_for_and_so_much_of_it_as_is_wanted",
    ),
    row(
        "core/rollups.py",
        "if waiting.group is group:",
        "if False:",
        "core/test_rollups.py::test_what_still_waits_of_a_field_that_is_not_kept_is_not_looked_into",
    ),
)
