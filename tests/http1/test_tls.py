"""A certificate's names are those that its owner was given, and no others."""

import ssl
from pathlib import Path

import pytest

from slosh.errors import SettingError
from slosh.http1.tls import make_context, read_certificate
from tests.http1.certificates import Issuer


def test_the_common_name_and_the_alternative_names_are_read() -> None:
    told = {
        "subject": ((("organizationName", "Example"),), (("commonName", "sensor-17"),)),
        "issuer": ((("commonName", "the CA"),),),
        "subjectAltName": (
            ("DNS", "sensor.example"),
            ("URI", "urn:s"),
            ("IP Address", "192.0.2.1"),
            ("email", "a@b.c"),
        ),
        "notAfter": "Jan  1 00:00:00 2027 GMT",
    }
    names, until = read_certificate(told)
    assert names == {"sensor-17", "sensor.example", "urn:s", "a@b.c"}
    assert until == 1_798_761_600


def test_without_a_certificate_there_are_no_names() -> None:
    assert read_certificate(None) == (frozenset(), 0.0)
    assert read_certificate({}) == (frozenset(), 0.0)


@pytest.mark.parametrize("kind", ["absent", "empty", "other", "password", "issuer"])
def test_files_that_cannot_be_used_are_told_in_a_sentence(tmp_path: Path, kind: str) -> None:
    issuer = Issuer(tmp_path)
    certificate, key = issuer.issue("a")
    other, other_key = issuer.issue("b", password="x" if kind == "password" else "")
    (tmp_path / "empty").write_text("")
    wrong: dict[str, tuple[Path, Path, str, str]] = {
        "absent": (tmp_path / "c", key, "", "cannot be read"),
        "empty": (tmp_path / "empty", key, "", "in PEM"),
        "other": (certificate, other_key, "", "does not belong"),
        "password": (other, other_key, "", "without one"),
        "issuer": (certificate, key, str(tmp_path / "empty"), "tls_client_ca"),
    }
    with pytest.raises(SettingError, match=wrong[kind][3]):
        make_context(str(wrong[kind][0]), str(wrong[kind][1]), wrong[kind][2])


def test_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    certificate, key = Issuer(tmp_path).issue("a")
    context = make_context(str(certificate), str(key), "")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode == ssl.CERT_NONE
