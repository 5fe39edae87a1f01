"""What settings have to do with each other: which of them contradict one another.

Those of classes of topics are in `classes.py`.
"""

from collections.abc import Mapping
from typing import Any

from slosh.settings.row import Setting, show


def contradictions(values: Mapping[str, Any], names: Mapping[str, str], rows: Mapping[str, Setting]) -> list[str]:
    """Say which settings contradict each other, each as a whole sentence with the way out.

    Args:
        values: a sound value for every setting.
        names: what a person called a setting who set it ("--max-body", "SLOSH_MAX_BODY"); its plain name if absent.
        rows: the table, by name.
    """

    def called(name: str) -> str:
        row = rows[name]
        return f"{names.get(name, name)} ({show(row, values[name]) or 'empty'})"

    found = [
        f"{called(small)} may not be larger than {called(large)}: {why}. Lower {small} or raise {large}."
        for small, large, why in (
            ("max_message", "max_body", "a message comes in a body"),
            ("max_message", "queue_bytes", "a topic must have room for one message"),
            ("max_message", "max_bytes", "all topics together must have room for one message"),
        )
        if values[small] > values[large]
    ]
    if 0 < values["max_wait"] < values["default_wait"]:
        found.append(
            f"{called('default_wait')} may not be longer than {called('max_wait')}, which bounds every wait. "
            f"Lower default_wait, or raise max_wait or set it to 0 for no bound."
        )
    if values["workers"] > 1 and values["takeover"]:
        found.append(
            f"{called('takeover')} is for one process, and {called('workers')} are several. Leave takeover out, and "
            f"let systemd hold the socket, or restart several servers one after the other."
        )
    if values["uds"] and values["uds"] == values["takeover"]:
        found.append(
            f"{called('takeover')} and {called('uds')} are one path, and each needs a socket of its own. Name another "
            f"path for takeover."
        )
    if not values["tls_cert"]:
        found += [
            f"{called(name)} means nothing without tls_cert. Name the certificate, or leave {name} out."
            for name in ("tls_key", "tls_client_ca")
            if values[name]
        ]
    places = [name for name, none in (("uds", ""), ("fd", -1)) if values[name] != none]
    if places:
        places += [name for name in ("host", "port") if values[name] != rows[name].default]
    if len(places) > 1:
        named = " and ".join(called(name) for name in places)
        found.append(f"{named} name more than one place to listen. Choose one: host and port, uds, or fd.")
    return found
