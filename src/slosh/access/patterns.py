"""Whether one pattern of topics covers another: the first matches each name that the second matches."""

from slosh.core.patterns import ONE, REST


def covers(granted: str, asked: str) -> bool:
    """Whether `granted` matches each name that `asked` matches. Both must be valid patterns or names.

    The bound on the segments of a name is ignored: False for sixteen `*` and fifteen `*` with a `**` behind them,
    although both match the names with sixteen segments and no others.
    """
    wide, narrow = granted.split("/"), asked.split("/")
    shortest = len(narrow)  # segments of a name that `asked` matches, at least
    if wide[-1] == REST:
        wide.pop()
        if narrow[-1] == REST:
            narrow.pop()
        if shortest <= len(wide):
            return False
        narrow = narrow[: len(wide)]
    elif narrow[-1] == REST or shortest != len(wide):
        return False
    return all(mine in (ONE, other) for mine, other in zip(wide, narrow, strict=True))
