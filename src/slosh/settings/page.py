"""docs/settings.md, written from the table: `python -m slosh.settings.page > docs/settings.md` (or `make docs`)."""

from collections.abc import Iterator

from slosh.settings.row import Group, Kind, Setting, describe_default, show
from slosh.settings.table import TABLE

HEAD = """\
# Settings

This page is made from the table in `src/slosh/settings/table.py` by `make docs`.

Each setting has one name and four sources:

| source | spelled | example |
| --- | --- | --- |
| command line | `--max-body` | `slosh serve --max-body 16MiB` and `twistd slosh --max-body 16MiB` |
| environment | `SLOSH_MAX_BODY` | `SLOSH_MAX_BODY=16MiB slosh serve` |
| `slosh.toml` in the working directory, or `--config FILE`, or `SLOSH_CONFIG` | `max_body` | `max_body = "16MiB"` |
| a `.tac` file | `max_body` | `make_service(max_body="16MiB")` |

The command line (or the `.tac`) wins over the environment, the environment over `slosh.toml`, and that over the
default. A name that is no setting is refused, with the nearest one that is; only in the environment, where other
programs write too, is it a warning. Paths in `slosh.toml` are taken from the folder of that file.

**Times** are a number of seconds (`30`, `0.5`), or a number with `ms`, `s`, `m`, `h` or `d`: `500ms`, `30s`, `2m`.
**Sizes** are a number of bytes, or a number with `k`, `m`, `g` or `KiB`, `MiB`, `GiB` (powers of 1024) or `kB`, `MB`,
`GB` (powers of 1000), in upper or lower case: `64k`, `8MiB`. One space may stand before the unit. The result is whole
bytes.

**Classes of topics.** Settings marked ◇ can be had by some topics alone: in slosh.toml below `[topics."gen/**"]`, in a
`.tac` and for `Server` by `topics={"gen/**": {…}}`. See [classes.md](classes.md).

**While it runs** a server takes new values of the settings marked ↻: change slosh.toml and send it SIGHUP. Its log
names those that differ and need a restart; a file with a mistake changes nothing.

**Relations** that are checked: `max_message` is at most `max_body` and at most `queue_bytes`; `default_wait` is at most
`max_wait` where that is not 0; `host` and `port`, `uds`, and `fd` exclude one another; `root` is a folder that exists.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for group in Group:
        yield f"## {group.value}\n"
        yield "| setting | default | allowed | what it does |"
        yield "| --- | --- | --- | --- |"
        for row in TABLE:
            if row.group is group:
                mark = (" ◇" if row.of_class else "") + (" ↻" if row.reloads else "")
                yield f"| `{row.name}`{mark} | {_default(row)} | {_allowed(row)} | {row.about} |"
        yield ""


def _default(row: Setting) -> str:
    default = describe_default(row).removeprefix("default ")
    number, colon, zero = default.partition(": ")
    if colon and number == "0":
        return f"0 ({zero})"
    return default.partition(";")[0]


def _allowed(row: Setting) -> str:
    if row.choices:
        return " or ".join(f"`{choice}`" for choice in row.choices)
    if row.kind in (Kind.TEXT, Kind.PATH):
        return str(row.kind.value)
    unit = "" if row.kind in (Kind.SECONDS, Kind.BYTES) or row.unit in ("port", "file descriptor") else f" {row.unit}"
    zero = f"; 0: {row.zero}" if row.zero and row.default != 0 else ""
    return f"{show(row, row.lowest)} to {show(row, row.highest)}{unit}{zero}"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is the whole command
