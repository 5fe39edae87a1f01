"""Settings that are read again: what is taken at once, and what waits for a restart and is said to."""

from slosh.access.rights import Rights
from slosh.access.rules import AccessRules
from slosh.reloading import ReloadReport, plan_reload
from slosh.settings import Settings

FORMER = Settings(max_watchers=10, port=8000)


def test_what_is_the_same_changes_nothing() -> None:
    assert plan_reload(FORMER, FORMER) == (FORMER, ReloadReport([], []))


def test_a_setting_that_can_change_is_taken_and_told_with_both_values() -> None:
    changed, reloaded = plan_reload(FORMER, Settings(max_watchers=20, port=8000))
    assert changed.max_watchers == 20
    assert reloaded == ReloadReport(["max_watchers=20 (was 10)"], [])


def test_a_setting_that_cannot_change_keeps_its_value_and_waits_for_a_restart() -> None:
    changed, reloaded = plan_reload(FORMER, Settings(max_watchers=10, port=9000))
    assert changed.port == 8000
    assert reloaded == ReloadReport([], ["port"])


def test_classes_of_topics_are_taken() -> None:
    changed, reloaded = plan_reload(FORMER, Settings(max_watchers=10, port=8000, topics={"a/**": {"queue": 5}}))
    assert changed.topics == {"a/**": {"queue": 5}}
    assert reloaded == ReloadReport(["the [topics] tables"], [])


def test_rules_are_changed_and_neither_begun_nor_ended() -> None:
    ruled, other = Settings(access=AccessRules()), Settings(access=AccessRules(public=Rights(["a"])))
    changed, reloaded = plan_reload(ruled, other)
    assert (changed.access, reloaded) == (other.access, ReloadReport(["the [access] rules"], []))
    for former, settings in ((ruled, Settings()), (Settings(), ruled)):
        changed, reloaded = plan_reload(former, settings)
        assert (changed.access, reloaded) == (former.access, ReloadReport([], ["access"]))


def test_tls_is_changed_and_neither_begun_nor_ended() -> None:
    plain, encrypted = Settings(), Settings(tls_cert="a.pem", tls_key="a.key")
    other = Settings(tls_cert="b.pem", tls_key="a.key")
    changed, reloaded = plan_reload(encrypted, other)
    assert (changed.tls_cert, reloaded) == ("b.pem", ReloadReport(["tls_cert=b.pem (was a.pem)"], []))
    for former, settings in ((plain, encrypted), (encrypted, plain)):
        changed, reloaded = plan_reload(former, settings)
        assert (changed.tls_cert, changed.tls_key) == (former.tls_cert, former.tls_key)
        assert reloaded == ReloadReport([], ["tls_cert"])
