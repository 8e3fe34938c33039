"""Files and fetched keys put together."""

from __future__ import annotations

import json

import pytest

from extproc.auth.keys import KeyDocument, KeySet, KeysInvalid
from extproc.jwks.keys import IssuerKeys
from tests.auth.issuer import jwk, public_pem, verification_key

FILE = KeyDocument("/keys/one.pem", public_pem("rsa"))
FETCHED = KeyDocument("https://issuer/keys", json.dumps({"keys": [jwk("p256")]}).encode())
BROKEN = KeyDocument("/keys/one.pem", b"<html>")


def kinds(keys: KeySet) -> set[str]:
    found = {id(key): key for key in keys.keys.values()}.values()
    return {kind for kind in ("rsa", "p256", "other") if verification_key(kind) in list(found)}


def test_both_add_up_and_each_is_replaced_alone() -> None:
    used: list[KeySet] = []
    keys = IssuerKeys([FILE], used.append)
    keys.replace_fetched(FETCHED)
    keys.replace_files([KeyDocument("/keys/two.pem", public_pem("other"))])
    keys.replace_fetched(None)
    assert [kinds(each) for each in used] == [{"rsa"}, {"rsa", "p256"}, {"other", "p256"}, {"other"}]


def test_nothing_at_all_is_a_set_without_keys() -> None:
    used: list[KeySet] = []
    keys = IssuerKeys([], used.append)
    assert (keys.count, [kinds(each) for each in used]) == (0, [set()])
    keys.replace_fetched(FETCHED)
    assert kinds(used[-1]) == {"p256"}


def test_the_same_keys_again_keep_the_verified_tokens() -> None:
    used: list[KeySet] = []
    keys = IssuerKeys([FILE], used.append)
    keys.replace_files([KeyDocument("/keys/copy.pem", FILE.content)])
    assert len(used) == 1


def test_a_broken_file_changes_nothing() -> None:
    used: list[KeySet] = []
    keys = IssuerKeys([FILE], used.append)
    keys.replace_fetched(FETCHED)
    with pytest.raises(KeysInvalid, match="neither PEM nor a JWKS"):
        keys.replace_files([BROKEN])
    keys.replace_fetched(None)
    assert [kinds(each) for each in used] == [{"rsa"}, {"rsa", "p256"}, {"rsa"}]


def test_files_without_a_usable_key_are_refused_also_while_fetched_ones_are_there() -> None:
    """Else what was fetched could not be dropped once it is too old."""
    used: list[KeySet] = []
    keys = IssuerKeys([FILE], used.append)
    keys.replace_fetched(FETCHED)
    with pytest.raises(KeysInvalid, match="no usable key"):
        keys.replace_files([KeyDocument("/keys/none.json", b'{"keys": []}')])
    keys.replace_fetched(None)
    assert kinds(used[-1]) == {"rsa"}
