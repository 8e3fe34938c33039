from __future__ import annotations

import pytest

from extproc.oci.media_type import LEASED_MEDIA_TYPES, bare_media_type
from extproc.routing.accept import accepted_media_types

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((), set(), id="no header"),
        pytest.param(("*/*",), {"*/*"}, id="a wildcard stays one"),
        pytest.param((INDEX,), {INDEX}, id="one"),
        pytest.param((INDEX, MANIFEST), {INDEX, MANIFEST}, id="two lines"),
        pytest.param((f"{INDEX}, {MANIFEST}",), {INDEX, MANIFEST}, id="one line"),
        pytest.param((f"{INDEX};q=0.5",), {INDEX}, id="a weight"),
        pytest.param((INDEX.upper(),), {INDEX.upper()}, id="another case is another type"),
        pytest.param((f"{INDEX};x",), set(), id="a parameter without a value"),
        pytest.param((f"{INDEX};q=1;q=1",), set(), id="two weights"),
        pytest.param((f"{INDEX};q=2",), set(), id="no weight at all"),
        pytest.param((f"{INDEX}\xa0, {MANIFEST}\x85",), {f"{INDEX}\xa0", f"{MANIFEST}\x85"}, id="other white space"),
        pytest.param((f"\t{INDEX} ,{MANIFEST}",), {INDEX, MANIFEST}, id="space and tab around"),
        pytest.param((f"{INDEX};q=0, {MANIFEST};q=1.0",), {MANIFEST}, id="refused by q=0"),
        pytest.param((f"{INDEX};q=0.000",), set(), id="refused by q=0.000"),
        pytest.param((f"{INDEX};q=0.001",), {INDEX}, id="a small weight is not a refusal"),
        pytest.param((f"{INDEX};charset=0",), set(), id="another parameter"),
        pytest.param((f"{INDEX};q=",), set(), id="an empty weight"),
        pytest.param((", ,;q=1",), set(), id="empty elements"),
        pytest.param((f"{INDEX}, {',' * 5000}",), {INDEX}, id="too long to be remembered"),
    ],
)
def test_accepted_media_types(values: tuple[str, ...], expected: set[str]) -> None:
    assert accepted_media_types(values) == expected


def test_a_wildcard_does_not_cover_the_leased_types() -> None:
    assert not accepted_media_types(("*/*", "application/*")) >= LEASED_MEDIA_TYPES


def test_bare_media_type() -> None:
    assert bare_media_type(f" {INDEX.upper()} ; charset=utf-8") == INDEX
