"""Names, tags and digests by the specification's grammar."""

from __future__ import annotations

import pytest

from extproc.oci.reference import Digest, Name, ReferenceInvalid, Tag, parse_reference

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a", id="one letter"),
        pytest.param("0", id="one digit"),
        pytest.param("group/sub/app", id="components"),
        pytest.param("a.b_c__d-e---f", id="every separator"),
        pytest.param("manifests/blobs/uploads", id="words of the API"),
        pytest.param("a" * 255, id="longest"),
    ],
)
def test_name_valid(text: str) -> None:
    assert Name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("A", id="upper case"),
        pytest.param("a/B", id="upper case component"),
        pytest.param("/a", id="leading slash"),
        pytest.param("a/", id="trailing slash"),
        pytest.param("a//b", id="empty component"),
        pytest.param("a/../b", id="dot segment"),
        pytest.param(".a", id="leading dot"),
        pytest.param("a-", id="trailing dash"),
        pytest.param("a..b", id="two dots"),
        pytest.param("a___b", id="three underscores"),
        pytest.param("a:b", id="colon"),
        pytest.param("group/*", id="asterisk"),
        pytest.param("a\n", id="trailing newline"),
        pytest.param("é", id="not ASCII"),
        pytest.param("\u0661", id="digit outside ASCII"),
        pytest.param("a" * 256, id="too long"),
    ],
)
def test_name_invalid(text: str) -> None:
    with pytest.raises(ReferenceInvalid, match="is not a repository name"):
        Name(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("latest", id="latest"),
        pytest.param("_v1.2-RC", id="every character"),
        pytest.param("sha256-" + "a" * 64, id="referrers fallback"),
        pytest.param("a" * 128, id="longest"),
    ],
)
def test_reference_is_a_tag(text: str) -> None:
    reference = parse_reference(text)
    assert reference == text
    assert isinstance(reference, Tag)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("-a", id="leading dash"),
        pytest.param(".a", id="leading dot"),
        pytest.param("a/b", id="slash"),
        pytest.param("a+b", id="plus"),
        pytest.param("a\n", id="trailing newline"),
        pytest.param("a" * 129, id="too long"),
    ],
)
def test_tag_invalid(text: str) -> None:
    with pytest.raises(ReferenceInvalid, match="is not a tag"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "algorithm"), [pytest.param(SHA256, "sha256", id="sha256"), pytest.param(SHA512, "sha512", id="sha512")]
)
def test_reference_is_a_digest(text: str, algorithm: str) -> None:
    reference = parse_reference(text)
    assert isinstance(reference, Digest)
    assert (reference.algorithm, reference.encoded) == (algorithm, text.partition(":")[2])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SHA256[:-1], id="short"),
        pytest.param(SHA256 + "0", id="long"),
        pytest.param("sha256:" + "A" * 64, id="upper case"),
        pytest.param("SHA256:" + "a" * 64, id="upper case algorithm"),
        pytest.param("sha384:" + "a" * 96, id="another algorithm"),
        pytest.param("sha512:" + "a" * 64, id="length of another algorithm"),
        pytest.param(":", id="colon"),
        pytest.param(SHA256 + "\n", id="trailing newline"),
    ],
)
def test_digest_invalid(text: str) -> None:
    with pytest.raises(ReferenceInvalid, match="is not a sha256 or sha512 digest"):
        parse_reference(text)
