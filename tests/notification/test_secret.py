"""Which values of `Authorization` are right, and which files hold a secret."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from extproc.notification.secret import Secret
from extproc.settings import SettingsError


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        pytest.param("s3cret", True, id="raw"),
        pytest.param("Bearer s3cret", True, id="bearer"),
        pytest.param("bEARER  s3cret", True, id="any case, more blanks"),
        pytest.param("next", True, id="the second"),
        pytest.param("Bearer next", True, id="the second as bearer"),
        pytest.param("Bearer kept whole", True, id="one that begins so itself"),
        pytest.param("kept whole", False, id="which is not its rest"),
        pytest.param("S3cret", False, id="another case"),
        pytest.param("s3cre", False, id="shorter"),
        pytest.param("s3crets", False, id="longer"),
        pytest.param("Basic s3cret", False, id="another scheme"),
        pytest.param("Bearer Bearer s3cret", False, id="twice"),
        pytest.param("", False, id="nothing"),
        pytest.param("Bearer ", False, id="nothing but the scheme"),
        pytest.param("Bearer", False, id="the scheme alone"),
        pytest.param("s3cret\nnext", False, id="both"),
        pytest.param("\udcff", False, id="no UTF-8"),
    ],
)
def test_the_value_of_authorization(tmp_path: Path, authorization: str, right: bool) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"s3cret\r\n\n  next \nBearer kept whole")
    assert Secret.load(file, "notifications.secret_file", "take no notifications").admits(authorization) is right


def test_every_secret_is_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    secret = Secret((b"first", b"second", b"third"))
    assert secret.admits("first")
    assert secret.admits("third")
    assert not secret.admits("none")
    assert len(compared) == 9
    # Of one length, whatever was sent.
    assert {len(value) for pair in compared for value in pair} == {32}


@pytest.mark.parametrize("content", [b"", b"\n \r\n\t\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"notifications\.secret_file '.*/secret' is empty: write the value"):
        Secret.load(file, "notifications.secret_file", "take no notifications")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*'.*/none': No such file or directory; correct the path"):
        Secret.load(tmp_path / "none", "notifications.secret_file", "take no notifications")
