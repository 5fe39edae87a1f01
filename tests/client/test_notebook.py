"""`slosh.chart` without a notebook: what it gives the browser, and what it refuses."""

import sys

import pytest

import slosh
from slosh.client.notebook import chart
from tests.conftest import need

need("module:anywidget")


def test_what_is_asked_for_are_the_attributes_of_the_element() -> None:
    made = chart("house/*", "cellar", span="10m", fields=["temp", "load[0]"], by="", smooth=0.5, log=True, height=300)
    assert made.options == {
        "topic": "house/*,cellar",
        "span": "10m",
        "fields": "temp,load[0]",
        "by": "",
        "smooth": "0.5",
        "height": "300",
        "log": "",
    }


def test_the_server_is_the_one_that_the_client_would_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOSH_URL", "http://box:9000/")
    assert chart("t").server == "http://box:9000"
    assert chart("t", server="http://other:1").server == "http://other:1"
    monkeypatch.setenv("SLOSH_URL", "unix:/run/slosh.sock")
    with pytest.raises(slosh.ClientError, match=r"A browser does not reach unix:/run/slosh\.sock; give server="):
        chart("t")


def test_a_token_is_no_part_of_what_a_notebook_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOSH_TOKEN", "slosh_secret_of_the_kitchen")
    for made in (chart("t"), chart("t", token="slosh_secret_of_the_cellar")):
        assert "secret" not in str(made.get_state())


def test_no_topic_is_an_error_that_shows_how() -> None:
    with pytest.raises(slosh.ClientError, match=r'chart needs a topic: slosh\.chart\("kitchen"\)'):
        slosh.chart()
    with pytest.raises(slosh.ClientError, match="chart needs a topic"):
        slosh.chart("")


def test_without_anywidget_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    from slosh.client import notebook

    notebook._widget_class.cache_clear()
    with pytest.raises(slosh.ClientError, match=r"pip install 'slosh-server\[notebook\]'"):
        slosh.chart("t")
