"""The one field whose value differs with each request (W3C Trace Context), read only when somebody wants to.

Most traces are not recorded, and that shows without decoding: a value in HPACK's Huffman code (RFC 7541, appendix B)
is looked through as bits by one pattern, which is several times as fast as to decode it.
"""

from __future__ import annotations

import re
from typing import Final

import hpack
from hpack.huffman_table import decode_huffman

_HUFFMAN: Final = 0x80
"""The first bit of a string literal that is so encoded (section 5.2)."""
_USUAL: Final = b"0123456789abcdef-"
_SYMBOL: Final = r"(?:00(?:0[01][01]|10[01])|011(?:001|01[01]|1[01][01])|100(?:011|10[01])|010110)"
"""The code of each character of `_USUAL`."""
_UNSAMPLED: Final = "00000" * 2
"""The code of `00`: flags by which a trace is not recorded."""
_BITS: Final = re.compile(rf"{_SYMBOL}*({_SYMBOL}{{2}})1{{0,7}}")
"""Such characters alone; at the end the code is filled up with ones."""


class Traceparent:
    """A value as it came. `str()` reads it."""

    __slots__ = ("_literal", "_text", "unsampled")

    def __init__(self, text: bytes, *, literal: bytes = b"", unsampled: bool = False) -> None:
        """`literal`, if there is one, instead of `text`: a string literal with its length, in Huffman's code."""
        self._text = text
        self._literal = literal
        self.unsampled = unsampled
        """It is known, without reading it, that its trace is not recorded."""

    @classmethod
    def usual(cls, literal: bytes) -> Traceparent | None:
        """Of a string literal with its length, below 127. None where there is anything but digits, a to f and hyphens
        in it, or it cannot be decoded."""
        if not literal[0] & _HUFFMAN:
            text = literal[1:]
            return None if text.translate(None, _USUAL) else cls(text, unsampled=text.endswith(b"-00"))
        found = _BITS.fullmatch(f"{int.from_bytes(literal[1:]):0{8 * len(literal) - 8}b}")
        return None if found is None else cls(b"", literal=literal, unsampled=found[1] == _UNSAMPLED)

    def __str__(self) -> str:
        return (decode_huffman(self._literal[1:]) if self._literal else self._text).decode("latin-1")


NO_TRACEPARENT: Final = Traceparent(b"")


def text_of(literal: bytes) -> bytes | None:
    """Of a string literal with its length, below 127; None when it cannot be decoded."""
    if not literal[0] & _HUFFMAN:
        return literal[1:]
    try:
        return decode_huffman(literal[1:])
    except hpack.HPACKError:
        return None
