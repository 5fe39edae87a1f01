"""How many messages go into one request: many where a topic keeps many, and never more than half of what it keeps."""

from slosh.client.answers import Published
from slosh.client.batching import FIRST, BatchSize, halve, may_be_one, place_in_batch
from slosh.client.errors import Refused


def kept(queue: int, queue_bytes: int = 8 << 20) -> Published:
    return Published(taken=True, queue=queue, queue_bytes=queue_bytes)


def too_large(limit: int) -> Refused:
    return Refused(413, {"code": "too_large", "limit": limit}, "x")


def test_a_batch_is_half_of_what_its_topic_keeps_as_soon_as_that_is_known() -> None:
    size = BatchSize(None)
    waiting = [b"1"] * 20_000
    assert size.count("a", waiting) == FIRST
    for queue, lines in ((1000, 500), (1, 1), (7, 3), (100, 50), (1_000_000, 10_000)):
        size.learn("a", kept(queue))
        assert size.count("a", waiting) == lines
        assert size.count("b", waiting) == FIRST
    assert size.count("a", waiting[:3]) == 3


def test_a_server_that_does_not_tell_gets_batches_as_before() -> None:
    size = BatchSize(None)
    size.learn("a", Published(taken=True))
    size.learn("a", Published(taken=False))
    assert size.count("a", [b"1"] * 100) == FIRST


def test_a_batch_is_bounded_in_bytes_by_half_of_what_is_kept_and_by_half_a_mebibyte() -> None:
    size = BatchSize(None)
    size.learn("a", kept(1000, 1000))
    assert size.count("a", [b"x" * 99] * 20) == 5
    assert size.count("a", [b"x" * 2000] * 20) == 1, "one that is larger goes alone"
    size.learn("a", kept(1000))
    assert size.count("a", [b"x" * (1 << 18)] * 20) == 1
    assert size.count("a", [b"x" * ((1 << 18) - 1)] * 20) == 2


def test_what_the_caller_says_is_kept_to() -> None:
    size = BatchSize(3)
    size.learn("a", kept(1000))
    assert size.count("a", [b"1"] * 100) == 3


def test_after_a_batch_that_was_too_large_as_a_whole_the_next_are_half_as_large() -> None:
    size = BatchSize(None)
    size.learn("a", kept(1000))
    size.shrink([b"12345"] * 500, too_large(1000))
    assert size.find("a") == (250, 1500)
    size.shrink([b"1"], Refused(413, {}, "a proxy"))
    assert size.find("a") == (1, 1)


def test_one_message_that_is_too_large_makes_the_next_batches_no_smaller() -> None:
    size = BatchSize(None)
    before = size.find("a")
    size.shrink([b"1", b"x" * 50], too_large(20))
    size.shrink([b"1", b"x" * 50], Refused(400, {"code": "bad_json"}, "x"))
    assert size.find("a") == before


def test_it_remembers_a_bounded_number_of_topics() -> None:
    size = BatchSize(None)
    for number in range(5000):
        size.learn(f"t{number}", kept(1000))
    assert len(size._kept) <= 1000
    assert size.find("t4999")[0] == 500


def test_which_refusals_may_be_about_one_message() -> None:
    assert may_be_one(Refused(413, {}, "a proxy"))
    assert may_be_one(Refused(400, {"code": "bad_json"}, "x"))
    assert not may_be_one(Refused(403, {"code": "forbidden"}, "x"))


def test_halves_are_all_of_it_in_its_order() -> None:
    assert halve([b"1", b"2", b"3"]) == (([b"1"], 0), ([b"2", b"3"], 1))
    assert halve([b"5", b"6"], 4) == (([b"5"], 4), ([b"6"], 5))


def test_the_refusal_of_a_part_names_the_line_of_the_batch() -> None:
    said = {"code": "bad_json", "detail": "Line 2: This is not JSON. Nothing was stored.", "line": 2, "position": 7}
    placed = place_in_batch(Refused(400, said, "x"), 40)
    assert placed.detail == "Line 42: This is not JSON. Nothing was stored."
    assert (placed.status, placed.reason, placed.problem["line"], placed.problem["position"]) == (
        400,
        "bad_json",
        42,
        7,
    )
    whole = Refused(400, said, "x")
    assert place_in_batch(whole, 0) is whole
    for detail in ("A batch has at most 10 lines (max_batch).", "", "Line x"):
        assert (
            place_in_batch(Refused(413, {"detail": detail}, "x"), 3).detail
            == Refused(413, {"detail": detail}, "x").detail
        )
