"""One Chromium serves all files of a worker, and stands in the way of no test without one."""

import asyncio

from tests.e2e.conftest import KeptBrowser


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
