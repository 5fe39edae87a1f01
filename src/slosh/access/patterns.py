"""Whether one pattern covers another: whether each name that the second matches is matched by the first."""

from slosh.core.patterns import ONE, REST


def covers(granted: str, asked: str) -> bool:
    """Whether `granted` matches each name that `asked` matches. Both are patterns or names, and sound.

    It takes as many steps as there are segments. Names have a bounded number of segments, which is not used here:
    sixteen times `*` is not said to cover fifteen times `*` and `**`, although nothing else fits in there.
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
