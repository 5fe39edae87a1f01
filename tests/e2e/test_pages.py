"""The example pages in a real browser against a real server: what their reader is promised."""

import re
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from benchmarks.processes import run_group
from tests.conftest import need
from tests.e2e.conftest import Process, Slosh, address, trying, until
from tests.e2e.cutting import cutting

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

Open: TypeAlias = "Callable[[str], Page]"
Serve: TypeAlias = Callable[..., Slosh]

PAGES = ["", "chat.html", "live.html", "replay.html"]
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"


def join(open_page: Open, slosh: Slosh, nick: str) -> "Page":
    """Open the chat under a name and wait until it is connected."""
    page = open_page(f"{slosh.url}/chat.html")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    page.get_by_label("Your name").fill(nick)
    return page


def say(page: "Page", text: str) -> None:
    """Type and press Enter."""
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")


def test_two_people_hear_each_other_and_see_who_speaks(slosh: Slosh, new_page: Open) -> None:
    ada, grace = join(new_page, slosh, "Ada"), join(new_page, slosh, "Grace")
    say(ada, "Is this on?")
    expect(grace.locator(".line")).to_have_count(1)
    expect(grace.locator(".line .who")).to_contain_text("Ada")
    expect(grace.locator(".line .text")).to_have_text("Is this on?")
    say(grace, "Loud and clear.")
    for page, names in ((ada, ["You", "Grace"]), (grace, ["Ada", "You"])):
        expect(page.locator(".line .text")).to_have_text(["Is this on?", "Loud and clear."])
        assert [name.split()[0] for name in page.locator(".line .who").all_inner_texts()] == names
    expect(ada.get_by_label("Your message")).to_have_value("")


def test_what_people_type_shows_as_text_and_never_runs(slosh: Slosh, new_page: Open) -> None:
    ada, grace = join(new_page, slosh, ""), join(new_page, slosh, "Grace")
    texts = ["<script>window.ran = 1</script>", '<img src="x" onerror="window.ran = 1">', "<b>&amp;</b>"]
    for text in texts:
        ada.get_by_label("Your name").fill(text[:24])
        say(ada, text)
    for page in (ada, grace):
        expect(page.locator(".line .text")).to_have_text(texts)
        assert page.locator("#log img, #log script, #log b").count() == 0
        assert page.evaluate("window.ran") is None


def test_messages_of_any_shape_leave_the_chat_working(slosh: Slosh, new_page: Open) -> None:
    ada = join(new_page, slosh, "Ada")
    shapes: list[Any] = [None, 1, "word", [], {}, {"text": 5}, {"text": "x", "at": 1e300}]
    slosh.post("chat", *shapes, {"from": 7, "text": "hello", "at": "yesterday"})
    say(ada, "still here")
    expect(ada.locator(".line .text")).to_have_text(
        ["null", "1", '"word"', "[]", "{}", '{"text":5}', "x", "hello", "still here"]
    )


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_goes_and_comes_shows_heals_and_the_loss_is_told(
    slosh: Slosh, new_page: Open, by: signal.Signals
) -> None:
    ada, grace = join(new_page, slosh, "Ada"), join(new_page, slosh, "Grace")
    say(ada, "before")
    expect(grace.locator(".line .text")).to_have_text("before")

    slosh.process.end(by)
    for page in (ada, grace):
        expect(page.locator("#state")).to_have_attribute("data-state", "offline")
        expect(page.locator(".notice.warn")).to_contain_text(
            re.compile("Connection lost: the server (cannot be reached|is shutting down)")
        )
    say(ada, "in between")
    expect(ada.locator("#said")).to_contain_text("Not sent: the server cannot be reached")
    expect(ada.get_by_label("Your message")).to_have_value("in between")

    slosh.start()
    for page in (ada, grace):
        expect(page.locator("#state")).to_have_attribute("data-state", "live")
        expect(page.locator(".notice").filter(has_text="Connected again")).to_be_visible()
        expect(page.locator(".notice.warn").last).to_contain_text("The server started again")
    ada.get_by_label("Your message").press("Enter")
    for page in (ada, grace):
        expect(page.locator(".line .text")).to_have_text(["before", "in between"])


def test_who_joins_late_reads_the_last_fifty(slosh: Slosh, new_page: Open) -> None:
    join(new_page, slosh, "Ada")
    slosh.post("chat", *({"from": "Ada", "text": f"line {i}"} for i in range(60)))
    late = join(new_page, slosh, "Late")
    expect(late.locator(".line .text")).to_have_text([f"line {i}" for i in range(10, 60)])
    expect(late.locator(".notice")).to_have_count(0)


def test_messages_missed_while_offline_are_counted(serve: Serve, new_page: Open) -> None:
    slosh = serve(queue=5)
    with cutting(slosh.port) as proxy:
        ada = new_page(f"http://127.0.0.1:{proxy.port}/chat.html")
        expect(ada.locator("#state")).to_have_attribute("data-state", "live")
        ada.context.set_offline(True)
        proxy.cut()
        expect(ada.locator("#state")).to_have_attribute("data-state", "offline")
        slosh.post("chat", *({"from": "Grace", "text": f"line {i}"} for i in range(12)))
        ada.context.set_offline(False)
        expect(ada.locator(".notice").filter(has_text="missed")).to_contain_text("7 messages missed")
    expect(ada.locator(".line .text").last).to_have_text("line 11")


def test_a_room_is_a_topic_of_its_own(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/chat.html?room=küche 1")
    expect(page.locator("h1")).to_have_text("Chat: küche 1")
    slosh.post_when_watched("chat/k%C3%BCche%201", {"from": "Ada", "text": "here"})
    expect(page.locator(".line .text")).to_have_text("here")
    assert slosh.post("chat", {"text": "not here"})["code"] == "no_watchers"


def test_the_topic_itself_in_a_browser_gives_three_at_once_after_three_posts(
    slosh: Slosh, new_context: "Callable[[], BrowserContext]"
) -> None:
    """PROTOCOL, the example that must hold: the cookie alone is the session."""
    text = '{"response":{"message":[{"@id":"123","event":"Some Event Text"}]}}'
    message = {"response": {"message": [{"@id": "123", "event": "Some Event Text"}]}}
    page = new_context().new_page()
    poster = threading.Thread(target=slosh.post_when_watched, args=("test", message))
    poster.start()
    response = page.goto(f"{slosh.url}/topics/test")
    poster.join()
    assert response is not None
    first = response.json()
    assert {name: first[name] for name in ("max", "saw", "delivering", "res")} == {
        "max": 1,
        "saw": 1,
        "delivering": 1,
        "res": [message],
    }
    assert [slosh.curl("test", text)["max"] for _ in range(3)] == [2, 3, 4]
    response = page.reload()
    assert response is not None
    second = response.json()
    assert {name: second[name] for name in ("max", "saw", "delivering", "res")} == {
        "max": 4,
        "saw": 3,
        "delivering": 3,
        "res": [message] * 3,
    }


def canvas_changes(page: "Page", chart: str) -> None:
    """Wait until the picture of a chart is another than now."""
    look = f"document.querySelector('#{chart} canvas')?.toDataURL()"
    page.wait_for_selector(f"#{chart} canvas")
    seen = page.evaluate(look)
    page.wait_for_function(f"seen => {look} !== seen", arg=seen)


def test_the_live_page_moves_and_its_feeder_works_only_while_somebody_looks(
    serve: Serve, feeder: Callable[..., Process], new_page: Open
) -> None:
    slosh = serve(linger=1)
    machine = feeder("machine.py", "--url", slosh.url, "--interval", "0.1")
    machine.line("nobody looks at machine, sleeping")

    page = new_page(f"{slosh.url}/live.html")
    machine.line("somebody looks at machine, feeding again")
    for chart in ("cpu-chart", "memory-chart", "network-chart"):
        page.wait_for_selector(f"#{chart} canvas")
    canvas_changes(page, "cpu-chart")
    expect(page.locator("#cpu")).to_contain_text("%")
    expect(page.locator("#silent")).to_be_hidden()
    expect(page.locator("#missed")).to_have_text("0")

    page.close()
    machine.line("nobody looks at machine, sleeping")
    page = new_page(f"{slosh.url}/live.html")
    machine.line("somebody looks at machine, feeding again")
    canvas_changes(page, "cpu-chart")
    assert sum("sleeping" in line for line in machine.said) == 2, "each change is told once"


def test_the_live_page_says_when_nobody_feeds_and_how_to_start_a_feeder(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/live.html")
    expect(page.locator("#silent")).to_be_visible()
    expect(page.locator("#silent .command code")).to_have_text(f"python feeders/machine.py --url {slosh.url}")
    expect(page.locator("#silent")).to_contain_text("make demo")


def test_a_page_has_no_chart_before_there_is_something_on_it_and_says_so(slosh: Slosh, new_page: Open) -> None:
    for name, charts in (("live.html", 3), ("replay.html", 2)):
        with trying(name):
            page = new_page(f"{slosh.url}/{name}")
            expect(page.locator("#silent")).to_be_visible()
            expect(page.locator(".chart")).to_have_count(charts)
            expect(page.locator(".chart:visible")).to_have_count(0)
            expect(page.locator("canvas")).to_have_count(0)
    page = new_page(f"{slosh.url}/replay.html")
    day = {"date": "2012-01-01", "temp_max": 12.8, "temp_min": 5.0, "precipitation": 0, "row": 1, "of": 1461}
    slosh.post_when_watched("replay", day)
    expect(page.locator(".chart:visible canvas")).to_have_count(2)


def test_messages_of_any_shape_leave_the_charts_working(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    half = {"time": 1, "cores": [1], "memory": 1, "network": 2}
    for name, topic in (("live.html", "machine"), ("replay.html", "replay")):
        with trying(name):
            page.goto(f"{slosh.url}/{name}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            slosh.post(topic, None, 1, "word", [], {}, half, {"date": "x"}, {"date": "2012-01-01", "temp_max": "hot"})
            expect(page.locator("#received")).to_have_text("8 messages")


def test_the_replay_draws_a_real_data_set_at_the_speed_asked_for(
    slosh: Slosh, feeder: Callable[..., Process], new_page: Open
) -> None:
    need("module:vega_datasets")
    feeder("replay.py", "--url", slosh.url, "--speed", "50")
    page = new_page(f"{slosh.url}/replay.html")
    canvas_changes(page, "temperature-chart")
    canvas_changes(page, "rain-chart")
    expect(page.locator("#day")).to_contain_text("2012")
    # What came while the machine was busy with something else comes at once.
    until(lambda: float(page.locator("#rate").inner_text()), lambda rate: 35 < rate < 65)


def test_the_front_page_shows_what_curl_posts_and_its_commands_name_its_own_address(
    slosh: Slosh, new_page: Open
) -> None:
    page = new_page(slosh.url)
    commands = page.locator(".command code").all_inner_texts()
    assert len(commands) == 3
    assert all(slosh.url in command for command in commands)
    slosh.post_when_watched("test", {"t": 21.5})
    expect(page.locator("#feed .json")).to_have_text('{"t":21.5}')
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#said")).to_contain_text("Taken as number 2")
    expect(page.locator("#feed .json").first).to_have_text('{"event":"Some Event Text"}')


def test_the_commands_of_the_front_page_are_right_as_they_stand(slosh: Slosh, new_page: Open) -> None:
    need("bash")
    page = new_page(slosh.url)
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    wait, post, test = page.locator(".command code").all_inner_texts()
    with Process("bash", "-c", wait + "; echo") as waiting:
        until(lambda: _output(post), lambda answer: '"max":1' in answer)
        waiting.line('"res":[{"t": 21.5}]')
    assert '"watchers":1' in _output(test)
    expect(page.locator("#feed .json")).to_have_text('"hello, page"')


def _output(command: str) -> str:
    return run_group(["bash", "-c", command], check=True).stdout


def test_pages_obey_a_strict_content_security_policy(slosh: Slosh, new_context: "Callable[[], BrowserContext]") -> None:
    context = new_context()

    def strictly(route: "Route") -> None:
        response = route.fetch()
        route.fulfill(response=response, headers={**response.headers, "content-security-policy": STRICT})

    for name in PAGES:
        context.route(f"{slosh.url}/{name}", strictly)
    context.add_init_script(
        "window.violations = []; addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective))"
    )
    page = context.new_page()
    for name in PAGES:
        with trying(name):
            page.goto(f"{slosh.url}/{name}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            assert page.evaluate("violations") == []


def test_no_page_scrolls_sideways_on_phone_or_desk(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    for name in PAGES:
        with trying(name):
            page.goto(f"{slosh.url}/{name}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            # With everything shown that may be hidden at first: it must fit as well.
            page.evaluate("document.querySelectorAll('main [hidden]').forEach((element) => (element.hidden = false))")
            for width in (320, 390, 768, 1200):
                page.set_viewport_size({"width": width, "height": 800})
                page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def test_the_chat_is_usable_with_the_keyboard_alone(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/chat.html")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()
    page.keyboard.type("no mouse")
    page.keyboard.press("Enter")
    expect(page.locator(".line .text")).to_have_text("no mouse")


def test_the_front_page_leads_to_the_viewer_of_the_topic_that_it_watches(slosh: Slosh, new_page: Open) -> None:
    page = new_page(slosh.url)
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    for link in ("its chart", "View"):
        target = page.get_by_role("link", name=link).get_attribute("href")
        assert target == "view/test"
    page.get_by_role("link", name="its chart").click()
    slosh.post_when_watched("test", {"t": 21.5})
    expect(page.locator("body")).to_contain_text("t")
    assert address(page) == f"{slosh.url}/view/test"
