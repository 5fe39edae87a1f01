"""Breaks of rights, tokens and what comes before HTTP: each would let somebody in, or leave somebody in."""

from tests.mutations.row import Row

row = Row.of

GATE = "web/admission/test_gate.py::"
GUARDS = "web/admission/test_guard.py::"
ROWS: tuple[Row, ...] = (
    row(
        "access/patterns.py",
        "if shortest <= len(wide):",
        "if shortest < len(wide):",
        "access/test_patterns.py::test_covering_is_what_enumeration_of_all_names_says",
    ),
    row(
        "access/jwt.py",
        "fitting = [key for key in keys if key.algorithm == algorithm]",
        "fitting = list(keys)",
        "access/test_jwt.py::test_a_public_key_is_never_taken_for_a_secret",
        "access/test_jwt.py::test_each_algorithm_is_taken_with_its_own_key",
    ),
    row(
        "access/jwt.py",
        'raise BadToken("It has no exp, so it would count for ever.")',
        "expires = math.inf",
        "access/test_jwt.py::test_claims_that_do_not_count_now_or_say_nothing_sound_are_refused",
    ),
    row(
        "access/jwt.py",
        "if now >= expires + skew:",
        "if now > expires + skew:",
        "access/test_jwt.py::test_claims_that_do_not_count_now_or_say_nothing_sound_are_refused",
    ),
    row(
        "access/authority.py",
        "if len(token) > self.max_token:",
        "if False:",
        "access/test_authority.py::test_a_token_of_a_megabyte_is_refused_before_anything_is_decoded",
    ),
    row(
        "access/authority.py",
        "return grant.generation == self.generation and now < grant.expires",
        "return now < grant.expires",
        GATE + "test_a_remembered_head_carries_no_right_beyond_new_rules",
    ),
    row(
        "access/authority.py",
        "if now >= grant.expires:",
        "if False:",
        "access/test_authority.py::test_a_token_ends_at_its_time_also_where_it_is_remembered",
    ),
    row(
        "web/admission/guard.py",
        "self._check(grant, connection.held_topic or None)",
        "self._check(grant, None)",
        "web/test_revoked.py::"
        "test_what_is_published_is_looked_at_again_by_its_own_topic_though_its_head_is_known_with_another",
    ),
    row(
        "web/publishing/publish_several.py",
        "self._revoked = error",
        "pass",
        "web/test_revoked.py::test_topics_of_a_batch_that_were_not_begun_are_refused_when_its_token_is_taken_away",
    ),
    row(
        "web/overview/process.py",
        "if hub.classes is not self._classes:  # since a reload",
        "if False:",
        "web/overview/test_process.py::test_a_class_that_a_reload_takes_away_while_topics_are_counted_is_told_no_more",
    ),
    row(
        "web/pages/reserved.py",
        "if counts.go_on(_AT_A_TIME):",
        "if counts.go_on(1 << 60):",
        "web/overview/test_process.py::test_very_many_topics_are_counted_some_in_a_turn",
    ),
    row(
        "web/admission/guard.py",
        'if self._checked is not grant or self._checked_for != (variable if isinstance(variable, str) else ""):',
        "if self._checked is not grant:",
        GATE + "test_a_remembered_head_carries_no_right_beyond_new_rules",
        GATE + "test_a_name_in_a_remembered_head_is_looked_at_each_time",
    ),
    row(
        "web/admission/gate.py",
        "if not authority.is_current(grant, connection.server.wall()):",
        "if False:",
        GATE + "test_what_is_held_ends_when_its_token_expires",
    ),
    row(
        "web/overview/topic_list.py",
        "return self._rights.may_see(facts.name)",
        "return True",
        GATE + "test_the_list_has_what_may_be_seen_and_no_word_of_the_rest",
    ),
    row(
        "web/admission/origins.py",
        'return site in ("same-origin", "none") or (not site and not is_unsafe)',
        "return True",
        "web/admission/test_credentials.py::test_the_cookie_counts_for_pages_of_this_server",
    ),
    row(
        "http1/arrivals.py",
        "self._waits_for_header = arrivals.takes_proxy and arrivals.server.proxies.trusts(peer)",
        "self._waits_for_header = arrivals.takes_proxy",
        "http1/test_arrivals.py::test_a_trusted_peer_sends_a_header_and_another_cannot",
    ),
    row(
        "http1/arrivals.py",
        "if first[0] != _HELLO:",
        "if False:",
        "http1/test_arrivals.py::test_plain_http_at_the_port_of_tls_is_told_so_in_plain_text",
    ),
    row(
        "listening.py",
        "_check_reached([describe(each) for each in sockets if not _is_local(each)], settings)",
        "pass",
        "test_listening.py::test_what_other_machines_reach_has_rules_or_says_that_it_wants_none",
    ),
    row(
        "web/admission/guard.py",
        "return self._action.find_path(variable)",
        'return ""',
        GUARDS + "test_the_logs_name_the_topic_of_each_request_and_not_of_the_first_with_such_a_head",
    ),
    row(
        "web/admission/guard.py",
        "self.body_bound = action.body_bound",
        'self.body_bound = "max_body"',
        GUARDS + "test_a_body_that_is_too_large_is_told_its_own_bound",
    ),
    row(
        "http1/handler.py",
        "self.body_bound = other.body_bound",
        'self.body_bound = "max_body"',
        GUARDS + "test_a_body_that_is_too_large_is_told_its_own_bound",
    ),
    row(
        "http1/handler.py",
        "return self._choose(connection).refuse_early(connection, variable, asks_first=asks_first)",
        "return None",
        GUARDS + "test_a_key_that_is_none_is_refused_before_the_body_below_a_prefix_too",
    ),
    row(
        "http1/connection.py",
        "self.grant = None  # Through a proxy the next request may be another client's.",
        "pass",
        GUARDS + "test_the_access_log_names_no_token_of_the_request_before",
    ),
    row(
        "web/routes.py",
        "done = action.other if isinstance(action, ByTrust) else action",
        "done = action",
        GUARDS + "test_what_needs_no_right_needs_no_token_that_counts",
        GUARDS + "test_probes_have_no_rate",
    ),
    row(
        "web/admission/guard.py",
        "self._gate.check_rate(connection, self._grant)",
        "pass",
        GUARDS + "test_a_guess_at_a_token_is_counted_however_it_is_sent",
    ),
    row(
        "http1/request_reader.py",
        "if refusal is not None and (asks_first or isinstance(refusal, Unauthorized | Forbidden | TooManyRequests)):",
        "if refusal is not None and (asks_first or isinstance(refusal, Unauthorized | Forbidden)):",
        GUARDS + "test_a_guess_at_a_token_is_counted_however_it_is_sent",
    ),
    row(
        "web/routes.py",
        "return self.gate.authority is not None",
        "return False",
        "web/test_remembered_rights.py::test_requests_with_any_tokens_are_answered_as_if_nothing_had_come_before",
    ),
    row(
        "http1/state.py",
        "while self.stalled and not self.has_buffer_room():",
        "while False:",
        "attacks/test_floods.py::test_readers_that_take_nothing_are_bounded_together",
    ),
    row(
        "web/readers/opening.py",
        '"""As the base says. Otherwise it would begin in its turn, and nothing would look at it again."""\nself._connection.refuse(error)',
        '"""Broken."""\npass',
        "web/test_revoked.py::test_what_waits_is_refused_when_its_token_is_taken_away",
    ),
    row(
        "web/publishing/publish.py",
        '"""As the base says; nothing is stored."""\nself.lost()\nself.refuse(error)',
        '"""Broken."""\npass\npass',
        "web/test_revoked.py::test_what_waits_is_refused_when_its_token_is_taken_away",
    ),
    row(
        "web/publishing/publish_several.py",
        "if not self._names:",
        "if False:",
        "web/test_revoked.py::test_what_waits_is_refused_when_its_token_is_taken_away",
    ),
    row(
        "web/admission/origins.py",
        "_check(origin)\nexcept SettingError:",
        "pass\nexcept SettingError:",
        "web/test_told.py::test_a_mistake_is_told_with_what_was_given_and_what_to_write_instead",
    ),
    row(
        "web/routes.py",
        'return [] if session is None else [b"cookie", session.encode("latin-1")]',
        "return []",
        "web/test_remembered_rights.py::test_requests_with_any_tokens_are_answered_as_if_nothing_had_come_before",
        "web/test_remembered_rights.py::test_a_place_in_a_cookie_beside_the_session_is_not_routed_again",
    ),
    row(
        "web/admission/gate.py",
        "if clock() >= until:",
        "if False:",
        "web/test_revoked.py::test_very_many_that_are_held_are_looked_at_some_in_a_turn",
    ),
    row(
        "web/admission/guard.py",
        "self.takes_time = action.takes_time or looks_like_jwt(credential.token)",
        "self.takes_time = action.takes_time",
        "web/test_revoked.py::test_signatures_of_very_many_new_tokens_are_checked_some_in_a_turn[/topics/mine/a?wait=0]",
    ),
)
