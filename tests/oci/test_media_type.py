from __future__ import annotations

import pytest

from extproc.oci.media_type import LEASED_MEDIA_TYPES, bare_media_type

INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    "content_type", [INDEX, f"{INDEX};charset=utf-8", f" {INDEX.upper()} ; charset=utf-8", f"{INDEX}; a=b; c=d"]
)
def test_parameters_and_case_are_taken_away(content_type: str) -> None:
    assert bare_media_type(content_type) == INDEX


def test_a_lease_may_carry_two_kinds_of_index_and_two_kinds_of_manifest() -> None:
    assert len(LEASED_MEDIA_TYPES) == 4
    assert all(bare_media_type(media_type) == media_type for media_type in LEASED_MEDIA_TYPES)
