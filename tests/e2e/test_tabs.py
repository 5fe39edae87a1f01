"""More tabs of one browser than it opens connections to one host."""

from pathlib import Path

from tests.e2e.conftest import Slosh, until
from tests.e2e.tabs import Tab, Tabs

STATE = "document.getElementById('state')?.dataset.state"
NUMBER = "document.getElementById('{}').textContent"


def is_live(tab: Tab) -> bool:
    """Whether its viewer is connected."""
    return bool(tab.evaluate(STATE) == "live")


def test_the_seventh_tab_loads_and_a_hidden_one_goes_on_from_its_place(slosh: Slosh, tmp_path: Path) -> None:
    """Hidden tabs give their connections back, but for two; over HTTP/1.1 a browser has six for one host."""
    with Tabs(tmp_path) as browser:
        tabs = []
        for number in range(8):
            tabs.append(browser.open(f"{slosh.url}/view/t{number}"))
            until(lambda: is_live(tabs[-1]), bool)
        states = until(
            lambda: [tab.evaluate(STATE) for tab in tabs], lambda states: states.count("resting") == len(tabs) - 3
        )
        assert states[-1] == "live"
        assert states.count("live") == 3, "the one that is seen, and two that may keep their connections"
        resting = tabs[states.index("resting")]
        topic = f"t{states.index('resting')}"
        slosh.post(topic, *range(5))
        assert resting.evaluate(NUMBER.format("received")) == "0"
        resting.show()
        until(lambda: resting.evaluate(NUMBER.format("received")), lambda text: text == "5")
        assert resting.evaluate(NUMBER.format("missed")) == "0"
        assert is_live(resting)
        until(lambda: tabs[-1].evaluate(STATE), lambda state: state == "resting")
