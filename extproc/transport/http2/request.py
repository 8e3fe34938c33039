"""A request's head, checked as RFC 9113 asks a server to (sections 8.1.1, 8.2 and 8.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
"""A token without upper-case letters."""
_VALUE: Final = re.compile(rb"(?:[^\0\r\n \t](?:[^\0\r\n]*[^\0\r\n \t])?)?")
_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_WANTED: Final = (b":method", b":scheme", b":path")
_OF_THE_CONNECTION: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)


class Malformed(ValueError):
    """A request that section 8.1.1 calls malformed: a stream error PROTOCOL_ERROR. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Request:
    method: bytes
    path: bytes
    fields: Mapping[bytes, bytes]
    """Other fields than the pseudo-headers, by their lower-case names; of a repeated one the first."""
    content_length: int | None

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> Request:
        """Raises Malformed."""
        pseudo: dict[bytes, bytes] = {}
        fields: dict[bytes, bytes] = {}
        for name, value in headers:
            if name[:1] == b":":
                if fields:
                    raise Malformed(f"{_told(name)} comes after other fields")
                if name not in _PSEUDO:
                    raise Malformed(f"{_told(name)} is no pseudo-header of a request")
                if name in pseudo:
                    raise Malformed(f"{_told(name)} is there twice")
                if not _VALUE.fullmatch(value):
                    raise Malformed(f"the value of {_told(name)} has what no field may have")
                pseudo[name] = value
            else:
                _check_field(name, value)
                if name == b"content-length" and fields.get(name, value) != value:
                    raise Malformed("two values of content-length")
                fields.setdefault(name, value)
        for name in _WANTED:
            if not pseudo.get(name):
                raise Malformed(f"{_told(name)} is missing or empty")
        return cls(pseudo[b":method"], pseudo[b":path"], fields, _content_length(fields))


def check_trailers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Fields behind the body. Raises Malformed."""
    for name, value in headers:
        if name[:1] == b":":
            raise Malformed(f"{_told(name)} is in the trailers")
        _check_field(name, value)


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise Malformed(f"{_told(name)} is no name of a field")
    if not _VALUE.fullmatch(value):
        raise Malformed(f"the value of {_told(name)} has what no field may have")
    if name in _OF_THE_CONNECTION or (name == b"te" and value != b"trailers"):
        raise Malformed(f"{_told(name)} does not belong into HTTP/2")


def _content_length(fields: Mapping[bytes, bytes]) -> int | None:
    value = fields.get(b"content-length")
    if value is None:
        return None
    # isdigit, for int() takes blanks, signs and underscores too; a number this long is no length.
    if not value.isdigit() or len(value) > 18:
        raise Malformed("content-length is no number")
    return int(value)


def _told(name: bytes) -> str:
    """For a message: what a peer sends is shortened and printable."""
    return ascii(name[:40].decode("latin-1"))
