"""More tabs of one browser than it opens connections to one host."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Slosh, until
from tests.e2e.tabs import Tab, Tabs

STATE = "document.getElementById('state')?.dataset.state"


def is_live(tab: Tab) -> bool:
    """Whether its viewer is connected."""
    return bool(tab.evaluate(STATE) == "live")


@pytest.mark.long
def test_ten_tabs_of_the_viewer_share_a_connection_and_three_of_them_die(
    serve: Callable[..., Slosh], tmp_path: Path
) -> None:
    """Over HTTP/1.1 a browser opens six connections to one host. All tabs but the newest are hidden."""
    slosh = serve(queue=1000)
    with Tabs(tmp_path) as browser:
        tabs = []
        for number in range(10):
            tabs.append(browser.open(f"{slosh.url}/view/{'house/*' if number % 2 else 'house/a,house/b'}"))
            until(lambda: is_live(tabs[-1]), bool)
        assert until(lambda: slosh.post("house/a", 0)["watchers"], lambda count: count == 1)
        sent = slosh.post("house/b", 0)["max"] + slosh.post("house/a", 0)["max"]
        for victim in (0, 4, 6):  # the first one leads
            tabs.pop(victim).crash()
            slosh.post("house/a", *range(50))
            slosh.post("house/b", *range(50))
            sent += 100
        for tab in tabs:
            until(partial(tab.evaluate, "sloshView.feed.received"), lambda count: count >= sent)
            assert tab.evaluate("[sloshView.feed.received, sloshView.feed.missed]") == [sent, 0]
            assert is_live(tab)
