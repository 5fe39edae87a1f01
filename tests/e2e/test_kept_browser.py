"""One Chromium serves all files of a worker, and stands in the way of no test without one."""

import asyncio

from tests.e2e.conftest import KeptBrowser, Person, Slosh, until

#: How many elements lie below the pointer, with the page itself.
POINTED = "document.querySelectorAll(':hover').length"


def test_between_its_tests_others_run_event_loops_of_their_own(kept_browser: KeptBrowser) -> None:
    for _ in range(2):
        with kept_browser.lent() as browser, browser.new_context() as context:
            assert context.new_page().evaluate("1 + 1") == 2
        assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"


def test_one_that_has_ended_is_started_again(kept_browser: KeptBrowser) -> None:
    with kept_browser.lent() as browser:
        browser.close()
    with kept_browser.lent() as browser, browser.new_context() as context:
        assert context.new_page().evaluate("1 + 1") == 2


def test_a_page_that_another_test_had_is_as_new_and_one_that_was_changed_is_closed(
    kept_browser: KeptBrowser, slosh: Slosh
) -> None:
    errors: list[str] = []
    with kept_browser.lent() as browser:
        first = Person(browser, errors)
        page = first.page
        page.goto(f"{slosh.url}/favicon.svg")
        page.set_viewport_size({"width": 300, "height": 200})
        page.evaluate("[localStorage, sessionStorage].forEach((each) => each.setItem('a', '1'))")
        page.evaluate("document.cookie = 'a=1'")
        page.mouse.move(150, 100)
        until(lambda: page.evaluate(POINTED), lambda count: count > 1)
        first.leave(is_clean=True)
        second = Person(browser, errors)
        assert second.page is page
        assert page.url == "about:blank"
        page.goto(f"{slosh.url}/favicon.svg")
        found = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie ?? '', innerWidth]")
        assert found == [0, 0, "", 1280]
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(POINTED) <= 1
        context = page.context
        second.leave(is_clean=True)
        assert context.pages == []
        third = Person(browser, errors)
        assert third.page is not page
        third.leave(is_clean=False)
        assert third.page.is_closed()
    assert not errors
