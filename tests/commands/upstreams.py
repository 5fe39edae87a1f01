"""A real MQTT broker, a real Redis and a real PostgreSQL, each with a login, for `slosh bridge` to read from."""

import asyncio
import atexit
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.ports import free_port
from tests.conftest import need
from tests.running import PATIENCE, Running
from tests.stores.server import Store
from tests.stores.tls import Authority

PASSWORD = "hunter2"


class Source(ABC):
    """A server with one user, `ann`. Use it in a `with` block.

    Args:
        folder: for what it keeps.
        tls: who vouches for it; then TLS is all that it speaks.
        host: the address to listen on.

    Attributes:
        name: what its addresses begin with.
    """

    name = ""

    def __init__(self, folder: Path, tls: Authority | None = None, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self.port = free_port()
        self.tls = tls
        self.host = host

    def url(self, password: str = PASSWORD) -> str:
        """Its address, with a login."""
        return f"{self.name}{'s' if self.tls else ''}://ann:{password}@{self.host}:{self.port}"

    @abstractmethod
    def start(self) -> None:
        """Start it, on its port."""

    @abstractmethod
    def kill(self) -> None:
        """End it without a word."""

    @abstractmethod
    def send(self, name: str, *payloads: bytes) -> None:
        """Publish messages under a name."""

    @abstractmethod
    def is_subscribed(self, name: str) -> bool:
        """Whether somebody is subscribed to a name."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Mosquitto(Source):
    """A broker of MQTT."""

    name = "mqtt"
    running: Running | None = None

    def start(self) -> None:
        program = need("mosquitto")
        users, file = self.folder / "users", self.folder / "mosquitto.conf"
        subprocess.run([need("mosquitto_passwd"), "-b", "-c", users, "ann", PASSWORD], check=True, capture_output=True)
        kinds = "".join(f"log_type {kind}\n" for kind in ("error", "notice", "information", "subscribe", "unsubscribe"))
        user = "user root\n" if os.geteuid() == 0 else ""
        (self.folder / "acl").write_text("user ann\ntopic readwrite #\ntopic deny home/secret\n")
        trust = "certfile {}\nkeyfile {}\n".format(*self.tls.files) if self.tls else ""
        file.write_text(
            f"listener {self.port} {self.host}\n{trust}password_file {users}\nacl_file {self.folder / 'acl'}\n"
            f"log_dest stderr\n{kinds}{user}"
        )
        self.running = Running((program, "-c", str(file)), self.folder)
        self.running.hear("mosquitto version .* running")

    def kill(self) -> None:
        if self.running is not None:
            self.running.__exit__(None, None, None)
            self.running = None

    def send(self, name: str, *payloads: bytes) -> None:
        from paho.mqtt import publish

        publish.multiple(
            [{"topic": name, "payload": payload, "qos": 1} for payload in payloads],
            hostname=self.host,
            port=self.port,
            auth={"username": "ann", "password": PASSWORD},
            tls={"ca_certs": str(self.tls.certificate)} if self.tls else None,
        )

    def is_subscribed(self, name: str) -> bool:
        assert self.running is not None
        name = name.replace("**", "#").replace("*", "+")
        said = re.findall(rf"^\d+: \S+( \d)? {re.escape(name)}$", self.running.output, flags=re.MULTILINE)
        return bool(said and said[-1])


class RedisChannels(Source):
    """The channels of a Redis."""

    name = "redis"
    store: Store | None = None

    def start(self) -> None:
        user = f"ann on >{PASSWORD} resetchannels &home/a &home/b &prices &rooms/* +@all"
        hosts = dict.fromkeys(("127.0.0.1", self.host))
        self.store = Store(self.folder / "redis", None, "--bind", *hosts, users=(user,), port=self.port, tls=self.tls)
        self.store.start()

    def kill(self) -> None:
        if self.store is not None:
            self.store.kill()
            self.store = None

    def send(self, name: str, *payloads: bytes) -> None:
        assert self.store is not None
        import redis

        with redis.Redis.from_url(self.store.url) as client:
            for payload in payloads:
                client.publish(name.encode("utf-8", "surrogateescape"), payload)

    def is_subscribed(self, name: str) -> bool:
        assert self.store is not None
        if "*" in name:  # the store tells how many there are, and a test has one
            return self.store.ask("PUBSUB", "NUMPAT") == 1
        said = self.store.ask("PUBSUB", "NUMSUB", name)
        assert isinstance(said, list)
        return said[1] == 1


@cache
def new_cluster(user: str) -> Path:
    """The files of a new PostgreSQL. To make them takes half a second of CPU, to copy them a tenth of that."""
    home = Path(tempfile.mkdtemp(prefix="slosh-postgres-"))
    atexit.register(shutil.rmtree, home)
    word = home / "password"
    word.write_text(PASSWORD)
    if user:
        shutil.chown(home, user)
        shutil.chown(word, user)
    options = ("-U", "ann", "-A", "scram-sha-256", "-N", "-E", "UTF8", "--locale=C", f"--pwfile={word}")
    subprocess.run(
        (*as_user(user), need("initdb"), "-D", str(home / "data"), "--no-instructions", *options),
        check=True,
        capture_output=True,
        cwd="/",
    )
    return home / "data"


class Postgres(Source):
    """The notifications of a PostgreSQL, which does not run as root."""

    name = "postgres"
    running: Running | None = None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._home = Path(tempfile.mkdtemp(prefix="slosh-postgres-"))
        self._data = self._home / "data"

    def url(self, password: str = PASSWORD) -> str:
        return f"{super().url(password)}/postgres"

    def start(self) -> None:
        user = self._user()
        if not self._data.exists():
            if user:
                shutil.chown(self._home, user)
            subprocess.run(("cp", "-a", str(new_cluster(user)), str(self._data)), check=True)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "log_min_duration_statement": "0",  # A statement is told once it is done: from then on it counts.
            "fsync": "off",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*as_user(user), need("postgres"), "-D", str(self._data), "-p", str(self.port), *words]
        self.running = Running(command, Path("/"))
        self.running.hear("ready to accept connections")

    def kill(self) -> None:
        if self.running is not None:
            self.running.__exit__(None, None, None)
            self.running = None
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        if self.running is not None:
            self.running.tell(signal.SIGINT)  # it tidies up what the system would keep of it
            self.running.end()
        self.kill()
        shutil.rmtree(self._home)

    def send(self, name: str, *payloads: bytes) -> None:
        asyncio.run(self._send(name, *payloads))

    async def _send(self, name: str, *payloads: bytes) -> None:
        import asyncpg

        connection = await asyncpg.connect(self.url(), timeout=PATIENCE)
        for payload in payloads:
            await connection.execute("SELECT pg_notify($1, $2)", name, payload.decode())
        await connection.close()

    def is_subscribed(self, name: str) -> bool:
        assert self.running is not None
        said = re.findall(rf'\b((?:UN)?LISTEN) "{re.escape(name)}"', self.running.output)
        return bool(said) and said[-1] == "LISTEN"

    @staticmethod
    def _user() -> str:
        """The user that it runs as, whom its package brings; empty for this one."""
        return pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 and need("postgres") else ""


def as_user(user: str) -> tuple[str, ...]:
    """The words before a command that run it as another user."""
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--") if user else ()


SOURCES: tuple[type[Source], ...] = (Mosquitto, RedisChannels, Postgres)
