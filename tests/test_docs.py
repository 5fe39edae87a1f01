"""What the documents say is true: links lead somewhere, names exist, and the examples give the answers shown."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import slosh
from benchmarks.processes import ProcessGroup, run_group
from slosh import errors
from slosh.client import Client
from slosh.settings.table import BY_NAME
from slosh.web.query import READING
from tests.cases import each_of
from tests.conftest import need
from tests.running import PATIENCE, SLOSH, Running, clean_environment, get
from tests.web.harness import Site

TOP = Path(__file__).parent.parent
PACKAGE = Path(slosh.__file__).parent
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
IN_ENVELOPES = {"res", "next", "lost"}
"""Fields that the guides name instead of another server's."""
LINGER = "10m"
WITH_EXAMPLES = [page for page in PAGES if "```console" in page.read_text(encoding="utf-8")]


def named(page: Path) -> str:
    return str(page.relative_to(TOP))


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that headings get on a forge: lower case, spaces as hyphens, nothing but letters, digits, - and _."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its own heading line."""
    table = text.partition(f"\n{heading}\n")[2]
    lines = [line for line in re.split(r"\n#+ ", table)[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


PASSED_ON = (
    "proxy_http_version 1.1;",
    "proxy_set_header Host $http_host;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection $",
)
"""What `slosh doctor` looks for behind nginx, in each location of slosh: streams, own pages, cookies, WebSockets."""


def test_every_configuration_of_nginx_passes_on_what_slosh_doctor_looks_for() -> None:
    """A location `/topics/` makes nginx answer 301 to a request for the list of topics."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md")
    assert "location /topics/" not in text
    blocks = re.findall(r"```nginx[^\n]*\n(.*?)```", text, re.DOTALL)
    locations = [
        (path.strip(), " ".join(lines.split()))
        for block in blocks
        for path, lines in re.findall(r"location ([^{]+)\{(.*?)\n *\}", block, re.DOTALL)
        if re.search(r"proxy_pass http://(127\.0\.0\.1:8000|slosh);", lines)
    ]
    assert len(locations) >= 4
    lacks = [f"{path}: {line}" for path, lines in locations for line in PASSED_ON if line not in lines]
    assert (lacks, {path for path, _ in locations}) == ([], {"/", "/topics"})


@each_of("page", PAGES, ids=named)
def test_every_link_to_a_file_or_a_heading_leads_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        found = page.parent / path if path else page
        assert found.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(found), f"{target}: no such heading"


def every_error(kind: type[errors.SloshError] = errors.SloshError) -> Iterator[type[errors.SloshError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from every_error(each)


def test_the_table_of_errors_is_complete_and_tells_each_status() -> None:
    never_travels = {errors.SettingError.code, errors.CannotListen.code, errors.TooFewFiles.code}
    told = {(row[0].strip("`"), row[1]) for row in rows(read("docs/protocol.md"), "## Errors")}
    assert told == {(each.code, str(each.status)) for each in every_error() if each.code not in never_travels}


def test_the_table_of_limits_names_settings_metrics_and_codes_that_exist() -> None:
    told = rows(read("docs/protocol.md"), "## Limits")
    named_in_table = [name for row in told for name in re.findall(r"`([a-z_]+)`", row[0])]
    assert set(named_in_table) <= set(BY_NAME)
    bounds = {
        row.name
        for row in BY_NAME.values()
        if row.unit and row.name not in {"port", "fd", "workers", "clock_skew", "access_log"}
    }
    assert bounds <= set(named_in_table), "a bound that the table does not tell of"


@each_of("page", PAGES, ids=named)
def test_a_setting_that_is_named_is_there(page: Path) -> None:
    """Whether the page says that it is one, or a guide has it as what is written instead of another server's."""
    text = page.read_text(encoding="utf-8")
    said = re.findall(r"\bsettings?\s+((?:\[?`[a-z_]+`(?:\]\([^)]*\))?(?:,\s|\sand\s|\sor\s)?)+)", text)
    names = {name for each in said for name in re.findall(r"`([a-z_]+)`", each)}
    if page.parent.name == "guides":
        last_cells = re.findall(r"^\|.*\| ([^|]*) \|$", text, flags=re.MULTILINE)
        names |= set(re.findall(r"`([a-z_]+)`", "\n".join(last_cells)))
    assert names <= {*BY_NAME, *READING, *IN_ENVELOPES}


@each_of("page", PAGES, ids=named)
def test_metrics_and_their_labels_are_those_that_the_server_has(page: Path) -> None:
    with closing(Site()) as site:
        known = set(re.findall(r"^# TYPE (\S+)", site.get("/-/metrics").body.decode(), flags=re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\bslosh_[a-z_]+[a-z](?=[{`\[ ])", text):
        if not re.fullmatch(r"slosh_(plugin|session|[0-9a-f]{12}|name)", name):
            assert name in known, name
    codes = {each.code for each in every_error()}
    assert set(re.findall(r'\{code="([a-z_]+)"\}', text)) <= codes


@each_of("page", PAGES, ids=named)
def test_commands_of_make_are_words_of_the_makefile(page: Path) -> None:
    words = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    assert (
        set(re.findall(r"(?:`|^|then |and )make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE))
        <= words
    )


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_options_are_those_of_the_command(page: str) -> None:
    known = {row.option for row in BY_NAME.values()} | {"--help", "--config", "--version"}
    for line in re.findall(r"(?:slosh serve|twistd slosh)[^`\n]*", read(page)):
        assert set(re.findall(r"--[a-z-]+", line)) <= known, line


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_classes_and_functions_that_are_named_exist(page: str) -> None:
    source = "\n".join(
        file.read_text(encoding="utf-8") for top in (PACKAGE, TOP / "tests") for file in top.rglob("*.py")
    )
    text = without_code(read(page))
    for path in re.findall(r"`([\w./-]+\.(?:py|js|md|toml|sample))`", text):
        places = (TOP / path, TOP / "src" / path, TOP / "src" / "slosh" / path, TOP / "tests" / path)
        assert path == "slosh.toml" or any(place.exists() for place in places), path
    for owner, name in re.findall(r"`([A-Z]\w+)\.(\w+)(?:\(\))?`", text):
        assert re.search(rf"^class {owner}\b", source, flags=re.MULTILINE), owner
        assert re.search(rf"(?:def {name}\(|\b{name}\b.*[:=])", source), f"{owner}.{name}"
    for name in re.findall(r"`(\w+)\(\)`", text):
        assert re.search(rf"def {name}\(", source), name


def test_the_tests_that_show_what_surprises_are_there() -> None:
    named_tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", read("docs/gotchas.md"))
    assert len(named_tests) > 15
    for path, name in named_tests:
        assert not name or f"def {name}(" in read(path), f"{path}::{name}"
        assert (TOP / path).is_file(), path


def test_the_glossary_has_each_term_once() -> None:
    terms = re.findall(r"^\| (?!term|---)([^|]+) \|", read("docs/glossary.md"), flags=re.MULTILINE)
    assert sorted(terms) == sorted(set(terms))


# The examples. In a console block a line behind `$ ` is a command, and what follows is its answer, in which `…` stands
# for anything and every epoch for whichever the server chose, the same all over the page. A command marked `# waits`
# stays in the background until the whole page is done; its answer is compared then.

EPOCH = re.compile(r"\b[0-9a-hjkmnp-tv-z]{8}(?=\.[0-9])")
VARIES = (
    (r"retry:\\ \d+", r"retry:\\ \\d+"),
    (r"Date:[^\n]*", r"Date: [^\\n]*"),
    (r'"age":\\ [0-9\\.]+', r'"age":\\ [0-9.]+'),
)


def examples(page: Path) -> Iterator[tuple[str, str]]:
    for block in re.findall(
        r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    ):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, answer = part.partition("\n")
            while command.endswith("\\"):
                more, _, answer = answer.partition("\n")
                command += "\n" + more.removeprefix("> ")
            yield command, answer


class Reader:
    """The person who types what a page shows."""

    def __init__(self, address: str, where: Path) -> None:
        self.address = address
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where `slosh` is
        self.environment = clean_environment(SLOSH_URL=address, PATH=path)
        self.where = where
        self.epochs: dict[str, str] = {}
        self.waiting: list[tuple[ProcessGroup[bytes], str, str, Path]] = []

    def type(self, command: str, answer: str) -> None:
        for told, real in self.epochs.items():
            command = command.replace(told, real)
        command = command.replace("localhost:8000", self.address.removeprefix("http://"))
        command = command.replace(":8000", ":" + self.address.rpartition(":")[2])
        if "# waits" in command:
            before = self.watchers()
            printed = self.where / f"waiting-{len(self.waiting)}"
            with printed.open("w") as output:
                process: ProcessGroup[bytes] = ProcessGroup(
                    ["bash", "-c", "exec " + command], cwd=self.where, env=self.environment, stdout=output
                )
            self.waiting.append((process, command, answer, printed))
            deadline = time.monotonic() + PATIENCE
            while self.watchers() == before and "watchers" not in command:
                assert time.monotonic() < deadline, command
                time.sleep(0.01)
            return
        done = run_group(["bash", "-c", command], cwd=self.where, env=self.environment)
        self.compare(command, answer, done.stdout)

    def finish(self) -> None:
        """Wait until each command in the background has said what the page shows; a stream has no end of its own."""
        for process, command, answer, printed in self.waiting:
            deadline = time.monotonic() + PATIENCE
            while not self.matches(answer, printed.read_text()) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.end()
            self.compare(command, answer, printed.read_text())

    def watchers(self) -> str:
        found = re.search(r"^slosh_watchers (\S+)", get(f"{self.address}/-/metrics").decode(), flags=re.MULTILINE)
        assert found is not None
        return found[1]

    def compare(self, command: str, told: str, printed: str) -> None:
        match = self.matches(told, printed)
        assert match, f"{command}\n--- the page says\n{told}\n--- it answers\n{printed}"
        self.epochs |= {name.removeprefix("e"): real for name, real in match.groupdict().items()}

    def matches(self, told: str, printed: str) -> re.Match[str] | None:
        pattern = re.escape(told.strip()).replace("…", "[\\s\\S]*?")
        for what, anything in VARIES:
            pattern = re.sub(what, anything, pattern)
        for epoch in dict.fromkeys(EPOCH.findall(told)):
            if epoch not in self.epochs:
                pattern = pattern.replace(epoch, f"(?P<e{epoch}>[0-9a-z]{{8}})", 1)
                pattern = pattern.replace(f"{epoch}\\.", f"(?P=e{epoch})\\.")
        for known, real in self.epochs.items():
            pattern = pattern.replace(f"{known}\\.", f"{real}\\.")
        # On a slow machine heartbeats may stand behind the answer.
        return re.fullmatch(pattern, re.sub(r"(\n\n:)+$", "", printed.strip().replace("\r", "")))


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=named)
def test_every_example_gives_the_answer_that_the_page_shows(page: Path, tmp_path: Path) -> None:
    need("curl")
    need("bash")
    for settings in re.findall(r"^```toml\n(# slosh\.toml\n.*?)^```", read(str(page)), flags=re.DOTALL | re.MULTILINE):
        (tmp_path / "slosh.toml").write_text(settings)
    # Default settings but one: on a busy machine more than 30 s (`linger`) may pass between two commands of a topic.
    with Running([*SLOSH, "serve", "--port", "0", "--linger", LINGER], tmp_path) as server:
        reader = Reader(server.hear(r"is ready on (http://\S+),")[1], tmp_path)
        for command, answer in examples(page):
            reader.type(command, answer)
        reader.finish()


def programs() -> list[str]:
    """The Python programs of the pages."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    return [
        block for page in pages for block in re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    ]


@pytest.mark.parametrize("program", programs(), ids=lambda program: program.strip().splitlines()[-1])
def test_every_program_runs(program: str, tmp_path: Path) -> None:
    """Each does what its page says, or goes on doing it, against a server whose topics have something to give."""
    with Running([*SLOSH, "serve", "--port", "0", "--unwatched", "keep"], tmp_path) as server:
        address = server.hear(r"is ready on (http://\S+),")[1]
        with Client(address) as client:
            client.publish("kitchen", {"t": 1})
        port = address.rpartition(":")[2]
        text = program.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("localhost:8000", f"localhost:{port}")
        (tmp_path / "secret").write_text("00" * 32)  # docs/access.md makes it with openssl
        environment = clean_environment(SLOSH_URL=address)
        with Running([sys.executable, "-c", text], tmp_path, environment) as running:
            try:
                code = running.process.wait(3)
            except subprocess.TimeoutExpired:
                code = 0  # it goes on watching
        assert code == 0, running.output
        assert "Traceback" not in running.output
