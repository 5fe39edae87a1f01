"""A certificate authority of a test's own, made by openssl."""

import ssl
import subprocess
from pathlib import Path
from typing import Final

from tests.conftest import need

SERVERS: Final = """
subjectAltName=DNS:localhost,IP:127.0.0.1
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""
AUTHORITYS: Final = "keyUsage=critical,keyCertSign,cRLSign"
"""Extensions of the two certificates, as RFC 5280 §4.2.1 asks for them, and Python from 3.13 on."""


class Authority:
    """Made again in `folder`: an authority, and a server's certificate for localhost and 127.0.0.1.

    Args:
        names: extensions of that certificate, for other names.

    Attributes:
        certificate: the authority's own certificate, which clients have to trust.
    """

    def __init__(self, folder: Path, names: str = SERVERS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.crt"
        self._server = folder / "server.crt"
        self._key = folder / "server.key"
        authority_key = folder / "ca.key"
        request = folder / "server.csr"
        extensions = folder / "names"
        extensions.write_text(names)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")
        _openssl(
            "req",
            "-x509",
            *key,
            authority_key,
            "-subj",
            "/CN=a test's authority",
            "-addext",
            AUTHORITYS,
            "-out",
            self.certificate,
        )
        _openssl("req", *key, self._key, "-subj", "/CN=localhost", "-out", request)
        signed = ("-CA", self.certificate, "-CAkey", authority_key, "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, *signed, "-days", "2", "-out", self._server)

    @property
    def files(self) -> tuple[Path, Path]:
        """The server's certificate and its key."""
        return self._server, self._key

    def options(self, port: int) -> tuple[str, ...]:
        """The options with which a server speaks TLS, and nothing else, on this port."""
        files = ("--tls-cert-file", str(self._server), "--tls-key-file", str(self._key))
        trust = ("--tls-ca-cert-file", str(self.certificate), "--tls-auth-clients", "no")
        return ("--port", "0", "--tls-port", str(port), *files, *trust)

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))


def _openssl(*words: str | Path) -> None:
    done = subprocess.run([need("openssl"), *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
