"""What a server says is taken for what it is, in the words of each server, inside scripts and outside."""

import asyncio
import re
import socket
import ssl
from typing import Any

import pytest
from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from slosh.engine.redis.client.refusals import reason_of, refusal_of, why_wrong, word_of
from tests.cases import each_of


@each_of(
    ("error", "word"),
    [
        (ResponseError("NOREPLICAS Not enough good replicas to write. script: on @user_script:69."), "NOREPLICAS"),
        (ResponseError("Error running script (call to f_2dd): @user_script: 69: -NOREPLICAS Not enough"), "NOREPLICAS"),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "MISCONF"),
        (ResponseError("BUSY Redis is busy running a script."), "BUSY"),
        (ResponseError("The user executing the script can't run this command or subcommand script: 2"), "NOPERM"),
        (ResponseError("Error running script: 121: The user executing the script can't run this"), "NOPERM"),
        (ResponseError("ACL failure in script: User default has no permissions to run"), "NOPERM"),
        (NoPermissionError("No permissions to access a key"), "NOPERM"),
        (AuthenticationError("Authentication required."), "NOAUTH"),
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), ""),
        (ResponseError("Error running script (call to f_2): @user_script:3: a MISCONFigured thing"), ""),
    ],
)
def test_what_every_publish_meets_is_told_from_what_one_meets(error: Exception, word: str) -> None:
    assert word_of(error) == word
    if word:
        assert f"({word})" in refusal_of(word)


def caused(error: Exception, cause: Exception) -> Exception:
    """An error with a cause."""
    error.__cause__ = cause
    return error


@each_of(
    ("error", "why"),
    [
        (AuthenticationError("invalid username-password pair"), "user or password"),
        (RedisConnectionError("No master found for 'm' : AuthenticationError('Authentication required.')"), "user or"),
        (InvalidResponse('Protocol error, got "H" as reply type byte'), "another protocol"),
        (ResponseError("DB index is out of range"), "no database"),
        (NoPermissionError("this user has no permissions"), "refuses what slosh asks first"),
        (caused(RedisConnectionError("Error 1"), ssl.SSLCertVerificationError("self-signed")), "no TLS"),
    ],
)
def test_what_no_waiting_mends_is_told(error: Exception, why: str) -> None:
    assert why in (why_wrong(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused."),
        RedisConnectionError("Error -2 connecting to store:6379. Name or service not known."),
        RedisConnectionError("No master found for 'mymaster'"),
        caused(RedisConnectionError("closed"), ssl.SSLEOFError("EOF occurred")),
        RedisTimeoutError("Timeout connecting to server"),
        BusyLoadingError("Redis is loading the dataset in memory"),
        ReadOnlyError("You can't write against a read only replica."),
        ClusterDownError("The cluster is down"),
        TryAgainError("Multiple keys request during rehashing of slot"),
        MasterDownError("Link with MASTER is down"),
        ResponseError("BUSY Redis is busy running a script."),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
)
def test_what_passes_is_waited_for(error: Exception) -> None:
    assert why_wrong(error) is None


@each_of(
    ("error", "told"),
    [
        (ConnectionRefusedError(111, "x"), "connection refused (ECONNREFUSED)"),
        (caused(RedisConnectionError("x"), socket.gaierror(-2, "Name or service not known")), "Name or service not"),
        (caused(RedisConnectionError("x"), ssl.SSLCertVerificationError("x")), "its certificate is not trusted"),
        (caused(RedisConnectionError("x"), ssl.SSLError(1, "x")), "TLS failed"),
        (RedisTimeoutError("x"), "it does not answer in time"),
        (TimeoutError(), "it does not answer in time"),
        (RedisConnectionError("Connection closed by server."), "the connection broke (ConnectionError)"),
        (AuthenticationError("WRONGPASS invalid username-password pair"), "it answers: WRONGPASS invalid username-p"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "it answers: Redis is loading the dataset"),
        (ResponseError("unknown command `AUTH`, with args beginning with: `x`"), "it answers: unknown command"),
        (ResponseError("unknown command 'AUTH', with args beginning with: 'x'"), "it answers: unknown command"),
        (ResponseError("'x'"), "it answers: ResponseError"),
        (ResponseError("no \x1b]0;title\x07\n"), r"it answers: no \x1b]0;title\x07"),
    ],
)
def test_an_error_is_told_in_our_own_words(error: Exception, told: str) -> None:
    """The library's texts show objects with their options, and a server's repeat what it was asked."""
    assert told in reason_of(error)
    assert not re.search(r"\bx\b", reason_of(error))


@pytest.mark.parametrize("password", ["e", "o", "hunter2"])
def test_what_is_told_is_the_same_whatever_the_password(password: str) -> None:
    """Where it is cut out of a text, a password of one letter could be read from what is missing."""

    async def ask(client: Redis) -> str:
        try:
            await client.ping()
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            return reason_of(error)
        finally:
            await client.aclose()
        return ""

    async def ask_all() -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        options: Any = {"password": password, "retry": Retry(NoBackoff(), 0)}
        sentinel = Sentinel([("127.0.0.1", port)], sentinel_kwargs=options)
        return [
            await ask(Redis(host="127.0.0.1", port=port, **options)),
            await ask(sentinel.master_for("mymaster", username=password, **options)),
        ]

    assert asyncio.run(ask_all()) == ["connection refused (ECONNREFUSED)", "no Sentinel answers that knows this master"]
