"""`slosh relay`: every message arrives once, over restarts of the relay."""

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from slosh.access.tokens import hash_token
from slosh.client import Client
from slosh.client.answers import Published
from slosh.client.errors import BadUse, Refused
from slosh.client.items import Item
from slosh.commands.relay import Place, _carry, can_meet, parse_place
from slosh.commands.shared import EXIT_ENDED, EXIT_REFUSED, EXIT_TIMED_OUT, EXIT_USAGE
from tests.cases import each_of
from tests.commands.test_sub import POISON
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, SLOSH, clean_environment


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    options = ("--unwatched=keep", "--linger=10m")
    with (
        Serving(tmp_path_factory.mktemp("a"), *options) as one,
        Serving(tmp_path_factory.mktemp("b"), *options) as other,
        Client(one.url) as source,
        Client(other.url) as target,
    ):
        yield source, target


def relay(client: Client, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLOSH, "relay", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url, **environment),
    )


@pytest.mark.parametrize("to", ["a,b", "a*", "a,b/", "..", "a//b", "$x", "x" * 256 + "/", "unix:/nowhere/topics/a,b"])
def test_a_name_to_carry_to_that_no_topic_has_is_told_before_anything_is_carried(
    clients: tuple[Client, Client], to: str
) -> None:
    done = relay(clients[0], "named", to, "--timeout=10s")
    assert done.returncode == EXIT_USAGE


@pytest.mark.parametrize(
    ("source", "to"), [("a", "a"), ("a", ""), ("gr/**", "gr/"), ("**", "copy/"), ("*", ""), ("a", "{url}/topics/a")]
)
def test_what_arrives_is_not_carried_again(clients: tuple[Client, Client], source: str, to: str) -> None:
    """One message became a flood without an end."""
    done = relay(clients[0], source, to.format(url=clients[0].url), "--timeout=10s")
    assert done.returncode == EXIT_USAGE
    assert "FROM matches" in done.stderr


@each_of(
    ("one", "other", "meet"),
    [
        *(("a", "a", True), ("a", "b", False), ("a/*", "a/a/*", False), ("a/**", "b/a/**", False)),
        *(("**", "a/**", True), ("a/**", "a/a/**", True), ("a/**", "a/b", True), ("a/*", "*/b", True)),
        ("a", "a/b", False),
    ],
)
def test_which_names_two_patterns_share(one: str, other: str, meet: bool) -> None:
    assert can_meet(one, other) is can_meet(other, one) is meet


def kept(client: Client, topic: str) -> list[object]:
    answer = client.connect().get(f"{client.url}/topics/{topic}?since=earliest&wait=0")
    messages: list[object] = json.loads(answer.content)["res"]
    return messages


def test_to_another_server_and_a_second_topic(clients: tuple[Client, Client]) -> None:
    source, target = clients
    source.publish_many("relay/a", range(20))
    there = f"{target.url}/topics/there"
    done = relay(source, "relay/a", there, "relay/copy", "--since=earliest", "--count=20")
    assert done.returncode == 0, done.stderr
    assert kept(target, "there") == kept(source, "relay/copy") == list(range(20))
    assert "20 messages read, 40 published" in done.stderr


def test_what_is_carried_twice_is_stored_once(clients: tuple[Client, Client]) -> None:
    """The key is made of where a message comes from, its place, and where it goes."""
    source, target = clients
    source.publish_many("relay/twice", range(5))
    for _ in range(2):
        done = relay(source, "relay/twice", f"{target.url}/topics/twice", "--since=earliest", "--count=5")
        assert done.returncode == 0
    assert kept(target, "twice") == list(range(5))


def test_it_goes_on_where_its_file_says(clients: tuple[Client, Client], tmp_path: Path) -> None:
    source, target = clients
    words = ("relay/state", f"{target.url}/topics/state", "--since=earliest", f"--state={tmp_path / 'place'}")
    source.publish_many("relay/state", range(3))
    assert relay(source, *words, "--count=3").returncode == 0
    source.publish_many("relay/state", range(3, 6))
    assert relay(source, *words, "--count=3").returncode == 0
    assert kept(target, "state") == list(range(6))
    assert relay(source, *words, "--timeout=300ms").returncode == EXIT_TIMED_OUT
    assert kept(target, "state") == list(range(6))


def test_what_of_a_pattern_is_carried_twice_is_stored_once(clients: tuple[Client, Client], tmp_path: Path) -> None:
    """Behind a kill the messages of several topics come in another order than they did live."""
    source, target = clients
    state = tmp_path / "r.place"
    names = ("relay/k/0", "relay/k/1", "relay/k/2")
    words = ("relay/k/*", f"{target.url}/topics/", "copied/", f"--state={state}", "--since=earliest")
    source.publish(names[0], 0)
    environment = clean_environment(SLOSH_URL=source.url)
    with ProcessGroup([*SLOSH, "relay", *words], stderr=subprocess.DEVNULL, env=environment) as first:
        try:
            early = until(lambda: state.read_text() if state.exists() else "", lambda text: bool(text.strip()))
            for number in range(10):
                for name in names if number else names[1:]:
                    source.publish(name, number)
            all_of_it = [[*range(10)]] * 3
            until(lambda: [kept(source, f"copied/{name}") for name in names], lambda copies: copies == all_of_it)
        finally:
            first.kill()
    state.write_text(early)  # what a power cut leaves may be older than what a kill does
    again = relay(source, *words, "--count=29")
    assert "29 messages read" in again.stderr
    for name in names:
        assert kept(target, name) == kept(source, f"copied/{name}") == [*range(10)]


def test_the_file_says_what_was_carried_last_also_where_nothing_follows(
    clients: tuple[Client, Client], tmp_path: Path
) -> None:
    """It said what was carried up to a second earlier, for hours, and the target remembers keys for minutes."""
    source, target = clients
    state = tmp_path / "r.place"
    words = ("relay/quiet", f"{target.url}/topics/quiet", f"--state={state}", "--since=earliest")
    source.publish_many("relay/quiet", range(50))
    with source.watch("relay/quiet", since="earliest", deadline=PATIENCE) as watch:
        last = [next(watch).place for _ in range(50)][-1]
    environment = clean_environment(SLOSH_URL=source.url)
    with ProcessGroup([*SLOSH, "relay", *words], stderr=subprocess.DEVNULL, env=environment) as running:
        try:
            until(lambda: state.read_text() if state.exists() else "", lambda text: text == f"{last}\n")
        finally:
            running.kill()


def test_a_kill_leaves_one_message_at_most_that_may_come_twice(clients: tuple[Client, Client], tmp_path: Path) -> None:
    """The file was a second behind, and a restart after 5 minutes, when no key is remembered, doubled that second."""
    source, target = clients
    state = tmp_path / "r.place"
    words = ("relay/killed", f"{target.url}/topics/killed", f"--state={state}", "--since=earliest")
    source.publish_many("relay/killed", range(100))
    with source.watch("relay/killed", since="earliest", deadline=PATIENCE) as watch:
        places = ["", *(next(watch).place for _ in range(100))]
    environment = clean_environment(SLOSH_URL=source.url)
    with ProcessGroup([*SLOSH, "relay", *words], stderr=subprocess.DEVNULL, env=environment) as running:
        try:
            until(lambda: len(kept(target, "killed")), lambda count: count > 20)
        finally:
            running.kill()
    stored = len(kept(target, "killed"))
    assert stored - places.index(state.read_text().strip()) in (0, 1)


def test_what_may_come_twice_is_told(clients: tuple[Client, Client], tmp_path: Path) -> None:
    source, target = clients
    state, beside = tmp_path / "r.place", tmp_path / "r.place.new"
    source.publish_many("relay/doubt", range(2))
    words = ("relay/doubt", f"{target.url}/topics/doubt", f"--state={state}", "--since=earliest", "--count=1")
    assert "stored twice" not in relay(source, *words).stderr
    assert not beside.exists()
    epoch = state.read_text().partition(".")[0]
    beside.write_text(f"{epoch}.2\n")
    away = f"http://127.0.0.1:{free_port()}/topics/x"
    assert "stored twice" not in relay(source, words[0], away, *words[2:], "--timeout=1s").stderr
    then = time.time() - 7 * 60
    os.utime(beside, (then, then))
    for _ in range(2):  # A relay that cannot publish it either makes it no younger.
        done = relay(source, words[0], away, *words[2:], "--timeout=1s")
        assert "began to publish a message 7 minutes ago" in done.stderr
    assert "stored twice" in relay(source, *words).stderr
    assert (state.read_text(), beside.exists()) == (f"{epoch}.2\n", False)
    state.unlink()  # and the message of the file beside does not come again
    beside.write_text(f"{epoch}.9\n")
    assert relay(source, *words).returncode == 0
    assert (state.read_text(), beside.exists()) == (f"{epoch}.1\n", False)


def test_one_relay_has_the_file_at_a_time(clients: tuple[Client, Client], tmp_path: Path) -> None:
    """Two wrote their places over each other's, until one ended because no such file was there."""
    source, target = clients
    state = tmp_path / "r.place"
    words = ("relay/shared", f"{target.url}/topics/shared", f"--state={state}", "--since=earliest")
    with ProcessGroup(
        [*SLOSH, "relay", *words], stderr=subprocess.DEVNULL, env=clean_environment(SLOSH_URL=source.url)
    ) as running:
        try:
            until(lambda: state.exists() and state.read_text() == "\n", bool)
            refused = relay(source, *words, "--count=1", "--timeout=5s")  # before the first message
            source.publish_many("relay/shared", range(3))
            until(lambda: state.read_text().endswith(".3\n"), bool)
            again = relay(source, *words, "--count=1", "--timeout=5s")
            for done in (refused, again):
                assert done.returncode == EXIT_USAGE, done.stderr
                assert f"Another slosh relay has {state}." in done.stderr
        finally:
            running.kill()
    source.publish("relay/shared", 3)
    assert relay(source, *words, "--count=1").returncode == 0
    assert kept(target, "shared") == [*range(4)]


def test_what_comes_after_one_was_killed_that_had_carried_nothing_is_carried(
    clients: tuple[Client, Client], tmp_path: Path
) -> None:
    source, target = clients
    state = tmp_path / "r.place"
    words = ("relay/first", f"{target.url}/topics/first", f"--state={state}")
    environment = clean_environment(SLOSH_URL=source.url)
    with ProcessGroup([*SLOSH, "relay", *words], stderr=subprocess.DEVNULL, env=environment) as running:
        try:
            until(lambda: state.read_text().strip() if state.exists() else "", bool)
        finally:
            running.kill()
    source.publish("relay/first", "meanwhile")
    done = relay(source, *words, "--count=1", "--timeout=30s")
    assert (done.returncode, "1 message read, 1 published" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize("name", ["one", "*"])
def test_a_window_is_that_of_the_first_start(clients: tuple[Client, Client], tmp_path: Path, name: str) -> None:
    """A relay whose target was away began with the last message there was then, so those between were lost."""
    source, target = clients
    topic = f"relay/window/{len(name)}/one"
    words = (topic.replace("one", name), "--since=-1", f"--state={tmp_path / 'r.place'}")
    source.publish_many(topic, range(3))
    away = f"http://127.0.0.1:{free_port()}/topics/x/"
    done = relay(source, *words, away, "--timeout=1s")
    assert done.returncode == EXIT_TIMED_OUT, done.stderr
    source.publish_many(topic, range(3, 6))
    done = relay(source, *words, f"{target.url}/topics/copy/", "--count=4", "--timeout=30s")
    assert (done.returncode, kept(target, f"copy/{topic}")) == (0, [2, 3, 4, 5]), done.stderr


def test_a_target_that_nobody_watches_yet_is_opened(clients: tuple[Client, Client], tmp_path: Path) -> None:
    source, _ = clients
    source.publish_many("relay/open/one", range(3))
    with Serving(tmp_path, "--linger=10m") as strict, Client(strict.url) as target:
        words = ("relay/open/*", f"{target.url}/topics/", "--since=earliest", "--count=3", "--timeout=30s")
        done = relay(source, *words)
        assert "3 not, because nobody watched the target" in done.stderr
        done = relay(source, *words, "--open")
        assert (done.returncode, kept(target, "relay/open/one")) == (0, [0, 1, 2]), done.stderr


def test_a_source_that_is_away_takes_no_longer_than_was_given(tmp_path: Path) -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as away:
        done = relay(away, "x", "y", f"--state={tmp_path / 'p'}", "--timeout=300ms")
    assert done.returncode == EXIT_TIMED_OUT
    assert "0 messages read, 0 published" in done.stderr


def test_an_end_is_told_also_where_a_place_is_kept(clients: tuple[Client, Client], tmp_path: Path) -> None:
    source, target = clients
    source.publish("relay/over", 1)
    source.end("relay/over")
    done = relay(source, "relay/over", f"{target.url}/topics/over", f"--state={tmp_path / 'p'}", "--timeout=30s")
    assert done.returncode == 0
    assert "relay/over ended" in done.stderr


def test_a_target_that_keeps_the_relay_out_loses_no_message(clients: tuple[Client, Client], tmp_path: Path) -> None:
    """Each message counted as refused, and the place moved on: with the token mended they never arrived."""
    source, _ = clients
    token = f'name = "relay"\nsha256 = "{hash_token("right").hex()}"\npublish = ["**"]\n'
    rules = f'[access]\npublic = {{ read = ["**"] }}\n[[access.tokens]]\n{token}'
    (tmp_path / "slosh.toml").write_text(rules, encoding="utf-8")
    source.publish_many("relay/kept/out", range(3))
    state = tmp_path / "r.place"
    with Serving(tmp_path, "--config=slosh.toml", "--unwatched=keep") as closed, Client(closed.url) as target:
        words = ("relay/kept/out", closed.topic("out"), "--since=earliest", f"--state={state}", "--count=3")
        for environment in ({"SLOSH_TOKEN": "wrong"}, {}):
            done = relay(source, *words, **environment)
            assert (done.returncode, state.read_text().strip()) == (EXIT_REFUSED, ""), done.stderr
            assert f"{closed.url} does not let this relay publish to out" in done.stderr
            assert "0 messages read, 0 published" in done.stderr
        done = relay(source, *words, SLOSH_TOKEN="right")
        assert (done.returncode, kept(target, "out")) == (0, [0, 1, 2]), done.stderr


def test_messages_that_were_not_taken_show_in_the_exit_code(clients: tuple[Client, Client], tmp_path: Path) -> None:
    source, target = clients
    source.publish_many("relay/long", ["a" * 2000, "b"])
    target.open("over")
    target.end("over")
    with Serving(tmp_path, "--unwatched=keep", "--max-message=1000") as narrow:
        for to, code, said in (
            (narrow.topic("short"), EXIT_REFUSED, "2 messages read, 1 published, 1 refused"),
            (f"{target.url}/topics/over", EXIT_ENDED, "2 not, because the target has ended"),
        ):
            done = relay(source, "relay/long", to, "--since=earliest", "--count=2")
            assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_a_target_that_is_away_takes_no_longer_than_was_given(clients: tuple[Client, Client], tmp_path: Path) -> None:
    """It was tried for ever. Its message is not left out: the next relay begins with it."""
    source, target = clients
    source.publish("relay/away", 1)
    state = tmp_path / "r.place"
    words = ("--since=earliest", f"--state={state}")
    away = f"http://127.0.0.1:{free_port()}/topics/x"
    done = relay(source, "relay/away", away, *words, "--timeout=1s")
    assert (done.returncode, state.read_text().strip()) == (EXIT_TIMED_OUT, ""), done.stderr
    assert "0 messages read, 0 published" in done.stderr
    assert relay(source, "relay/away", f"{target.url}/topics/back", *words, "--count=1").returncode == 0
    assert kept(target, "back") == [1]


def test_a_file_that_holds_no_place_is_left_as_it_is(clients: tuple[Client, Client], tmp_path: Path) -> None:
    source, target = clients
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\n\n")
    refused = relay(source, "a", f"{target.url}/topics/b", f"--state={notes}")
    assert (refused.returncode, "holds no place" in refused.stderr) == (EXIT_USAGE, True)
    assert notes.read_text() == "my notes\n\n"
    long = tmp_path / "long"
    long.write_text("a" * 3_000_000)
    assert "holds no place" in relay(source, "a", f"{target.url}/topics/b", f"--state={long}").stderr
    beside = tmp_path / "r.place.new"
    beside.write_text("my notes")
    refused = relay(source, "a", f"{target.url}/topics/b", f"--state={tmp_path / 'r.place'}")
    assert (refused.returncode, f"{beside} is there" in refused.stderr) == (EXIT_USAGE, True)
    assert (beside.read_text(), (tmp_path / "r.place").exists()) == ("my notes", False)


def test_the_topics_of_a_pattern_keep_their_names(clients: tuple[Client, Client]) -> None:
    source, target = clients
    source.publish("relay/p/one", 1)
    source.publish("relay/p/two", 2)
    done = relay(source, "relay/p/*", f"{target.url}/topics/from/", "--since=earliest", "--count=2")
    assert done.returncode == 0, done.stderr
    assert (kept(target, "from/relay/p/one"), kept(target, "from/relay/p/two")) == ([1], [2])
    refused = relay(source, "relay/p/*", "one")
    assert refused.returncode == EXIT_USAGE
    assert "end with /" in refused.stderr


def test_places() -> None:
    assert parse_place("kitchen", "http://h:1") == Place("http://h:1", "kitchen")
    assert parse_place("https://h/live/topics/a/b%20c", None) == Place("https://h/live", "a/b c")
    assert parse_place("https://h/topics/", None).name("k") == "k"
    assert parse_place("unix:/run/s.sock/topics/a/b%20c", None) == Place("unix:/run/s.sock", "a/b c")
    for wrong in ("unix:/run/s.sock", "http://h/kitchen", "http://h/topics/a?since=1", "ftp://h/topics/a"):
        with pytest.raises(BadUse):
            parse_place(wrong, None)


@pytest.mark.parametrize("status", [429, 502, 503])
def test_an_answer_that_passes_drops_no_message(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy says 502 for as long as the server behind it is away, which may be longer than one call may take."""
    answers: list[Exception | Published] = [Refused(status, {}, "a proxy"), Published(taken=True)]
    keys: list[object] = []

    def publish(client: Client, topic: str, lines: object, **options: object) -> Published:
        del client, topic, lines
        keys.append(options["key"])
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Client, "publish_encoded", publish)
    monkeypatch.setattr("slosh.commands.shared._PAUSE", 0.0)
    tally: Counter[str] = Counter()
    item = Item(1, "a", 1, 0.0, "aaaaaaaa.1", raw="1")
    _carry(Client("http://127.0.0.1:1"), "http://127.0.0.1:2", item, Place("http://127.0.0.1:1", "b"), tally)
    assert tally == {"sent": 1}
    assert len(set(keys)) == 1


def test_a_message_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In polls of several topics the place moves with the envelope, and in streams with what comes of any of them."""
    keys: list[object] = []

    def publish(client: Client, topic: str, lines: object, **options: object) -> Published:
        del client, topic, lines
        keys.append(options["key"])
        return Published(taken=True)

    monkeypatch.setattr(Client, "publish_encoded", publish)
    client, target = Client("http://127.0.0.1:1"), Place("http://127.0.0.1:1", "to/")
    for topic, epoch, number, place in (
        *(("a", "aaaaaaaa", 1, "*"), ("a", "aaaaaaaa", 2, "*"), ("b", "aaaaaaaa", 1, "*"), ("a", "bbbbbbbb", 1, "*")),
        *(("a", "aaaaaaaa", 1, "*,a=aaaaaaaa.1"), ("a", "aaaaaaaa", 1, "*,b=bbbbbbbb.7,a=aaaaaaaa.1")),
    ):
        item = Item(1, topic, number, 0.0, place, raw="1", epoch=epoch)
        _carry(client, "http://127.0.0.1:2", item, target, Counter())
    assert len(set(keys[:4])) == 4
    assert set(keys[4:]) == {keys[0]}


def test_every_message_is_carried_as_it_was_posted(clients: tuple[Client, Client]) -> None:
    source, target = clients
    source.publish_encoded("relay/poison", [text.encode() for text in POISON])
    there = f"{target.url}/topics/poison"
    done = relay(source, "relay/poison", there, "--since=earliest", "--count", str(len(POISON)))
    assert done.returncode == 0, done.stderr
    with target.watch("poison", since="earliest", deadline=PATIENCE) as watch:
        assert [next(watch).raw for _ in POISON] == list(POISON)
