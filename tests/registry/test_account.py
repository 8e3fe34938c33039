"""The service account's password file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from extproc.registry.account import Account
from extproc.registry.error import RegistryError


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("content", "password"),
    [
        pytest.param(b"secret", "secret", id="alone"),
        pytest.param(b"secret\r\n", "secret", id="with a line end"),
        pytest.param(b" se:cret \n", " se:cret ", id="spaces and colons are its own"),
        pytest.param("pässwort".encode(), "pässwort", id="UTF-8"),
    ],
)
def test_the_password_is_the_files_one_line(tmp_path: Path, content: bytes, password: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    assert Account("geo", file).basic() == basic(f"geo:{password}")


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    file, next_one = tmp_path / "password", tmp_path / "next"
    file.write_text("one")
    account = Account("geo", file)
    assert account.basic() == basic("geo:one")
    next_one.write_text("two")
    next_one.replace(file)
    assert account.basic() == basic("geo:two")


@pytest.mark.parametrize(("content", "words"), [(None, "correct the path"), (b"", "one line"), (b"a\nb", "one line")])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RegistryError, match=words) as caught:
        Account("geo", file).basic()
    assert str(file) in str(caught.value)


def test_a_broken_file_is_read_again_when_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"")
    account = Account("geo", file)
    with pytest.raises(RegistryError):
        account.basic()
    with pytest.raises(RegistryError):
        account.basic()
    file.write_bytes(b"mended")
    assert account.basic() == basic("geo:mended")
