"""A repository name as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.cli.usage import UsageError

if TYPE_CHECKING:
    from extproc.oci.reference import Name


def parse_name(text: str) -> Name:
    """Raises UsageError, which says what a name looks like."""
    from extproc.oci.reference import Name, ReferenceInvalid

    try:
        return Name(text)
    except ReferenceInvalid as error:
        raise UsageError(
            f"{error}: write one such as group/project/app, in lower case, without host, tag or digest"
        ) from error
