"""TLS: the context that a server's settings ask for, and what a client's certificate says.

The context is Python's own for servers, which is TLS 1.2 and newer with forward secrecy, without compression and
without renegotiation; HTTP/1.1 is what ALPN offers (RFC 7301).
"""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

from slosh.errors import SettingError

_NAMES: Final = ("DNS", "URI", "email")


def make_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """The context for a server.

    Args:
        certificate: path of the certificate and those that lead to its issuer, PEM.
        key: path of the private key, PEM; empty if it stands in the same file.
        client_ca: path of the certificates whose clients are known by name, PEM; empty for none.

    Raises:
        SettingError: a file cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key or None, _refuse_password)
    except OSError as error:  # SSLError is one
        files = f"tls_cert={certificate!r}" + (f", tls_key={key!r}" if key else "")
        raise SettingError(f"{files}: {_explain(error)}") from None
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            raise SettingError(f"tls_client_ca={client_ca!r}: {_explain(error)}") from None
        context.verify_mode = ssl.CERT_OPTIONAL  # Others come with a token, or may do what is public.
    return context


def _refuse_password() -> str:
    """OpenSSL would ask on the terminal for the password of a key."""
    raise SettingError("tls_key: the key is encrypted with a password. Write it without one, readable by slosh alone.")


def _explain(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        if "KEY_VALUES_MISMATCH" in str(error):
            return "the key does not belong to the certificate. Name the one that does."
        return "there is no certificate, or no key, in PEM in these files. Name files that have them."
    return f"a file cannot be read: {(error.strerror or str(error)).lower()}. Name one that can."


def read_certificate(certificate: Mapping[str, Any] | None) -> tuple[frozenset[str], float]:
    """The names in a certificate that was verified, and until when it counts, seconds since 1970.

    Args:
        certificate: as `ssl.SSLSocket.getpeercert` gives it; nothing if there is none.
    """
    if not certificate:
        return frozenset(), 0.0
    return frozenset(_list_names(certificate)), float(ssl.cert_time_to_seconds(certificate["notAfter"]))


def _list_names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """The common name, and the alternative names (RFC 5280 §4.2.1.6)."""
    for part in certificate.get("subject", ()):
        yield from (value for name, value in part if name == "commonName")
    yield from (value for kind, value in certificate.get("subjectAltName", ()) if kind in _NAMES)
