"""Header blocks to fields (RFC 7541), without decoding again what was decoded before.

HPACK's cost in Python is several times that of a decision, and the blocks of one client hardly differ. So we announce
a dynamic table of no size: once the peer has acknowledged it, the same bytes always mean the same fields, and a block
that was decoded once is remembered by its bytes. `traceparent` differs with each request (W3C Trace Context): a block
is remembered without its value.

Rules
1. Before the acknowledgement the peer may use the default table, and each block goes through the decoder.
2. What is remembered is bounded in number and size: a peer chooses the bytes.
3. A block is cut at `traceparent` only where both sides of the cut decode by themselves to what the whole does, and
   is known again only by both sides and a value that no field forbids. All else is decoded: what comes of a block
   never depends on those before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

import hpack

from extproc.transport.http2.request import Request, check_trailers
from extproc.transport.http2.traceparent import NO_TRACEPARENT, Traceparent, text_of

_MOST_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 1024
"""Bytes of a block."""
_TRACEPARENT: Final = b"traceparent"
_MARKS: Final = (b"\x88\x4d\x83\x21\x6b\x1d\x85\xa9\x3f", b"\x0btraceparent")
"""The name as a string literal (RFC 7541, section 5.2), with Huffman's code and without."""
_HUFFMAN: Final = 0x80

Fields = list[tuple[bytes, bytes]]
_Key = TypeVar("_Key", bytes, tuple[bytes, bytes])


class Undecodable(ValueError):
    """Not HPACK, or larger than allowed: the connection's state is lost (RFC 9113, section 4.3)."""


class HeaderBlocks:
    """Decodes the blocks of one connection, in the order in which they come."""

    def __init__(self, largest_list: int) -> None:
        """`largest_list`: bytes of a decoded block, by RFC 9113's count (section 10.5.1)."""
        self._largest = largest_list
        self._decoder = hpack.Decoder(largest_list)
        self._refused = False
        self._known: dict[bytes, Request] = {}
        self._cut: dict[tuple[bytes, bytes], Request] = {}
        """By what is before the value of `traceparent`, and behind it."""
        self._last: tuple[bytes, bytes, Request] | None = None
        """The latest of these that was met again: the next block is mostly the very same."""

    def table_refused(self) -> None:
        """The peer has acknowledged a table of no size: its next block must begin by saying so (section 4.2)."""
        self._refused = True
        self._decoder.max_allowed_table_size = 0

    def request(self, block: bytes) -> tuple[Request, Traceparent]:
        """Without `traceparent`, and the value of its first one, or nothing.

        Raises Undecodable and request.Malformed.
        """
        if self._last is not None:
            before, after, request = self._last
            if block.startswith(before) and block.endswith(after):
                value = block[len(before) : len(block) - len(after)]
                if 0 < len(value) < 128 and value[0] & ~_HUFFMAN == len(value) - 1:
                    traceparent = Traceparent.usual(value)
                    if traceparent is not None:
                        return request, traceparent
        known = self._known.get(block)
        if known is not None:
            return known, NO_TRACEPARENT
        cut = _cut(block)
        if cut is not None:
            before, value, after = cut
            known = self._cut.get((before, after))
            if known is not None:
                traceparent = Traceparent.usual(value)
                if traceparent is not None:
                    self._last = before, after, known
                    return known, traceparent
        alike = self._refused and self._decoder.header_table_size == 0
        fields = self._decode(block)
        request = Request.of(fields)
        text = request.fields.get(_TRACEPARENT)
        if text is not None:
            others = {name: value for name, value in request.fields.items() if name != _TRACEPARENT}
            request = replace(request, fields=others)
        if alike and len(block) <= _LONGEST_KNOWN:
            if text is None:
                _remember(self._known, block, request)
            elif cut is not None and self._is_clean(cut, fields):
                _remember(self._cut, (cut[0], cut[2]), request)
        return request, NO_TRACEPARENT if text is None else Traceparent(text)

    def trailers(self, block: bytes) -> None:
        """Those of a request: checked, and not used. Raises Undecodable and request.Malformed."""
        check_trailers(self._decode(block))

    def skip(self, block: bytes) -> None:
        """Of a stream that nobody wants: the state must follow. Raises Undecodable."""
        self._decode(block)

    def _decode(self, block: bytes) -> Fields:
        return _decoded(self._decoder, block)

    def _is_clean(self, cut: tuple[bytes, bytes, bytes], fields: Fields) -> bool:
        """Whether the bytes taken for the field's name and value were just these (rule 3)."""
        before, value, after = cut
        try:
            # A representation's first byte stands before the name.
            ahead = _decoded(self._empty_table(), before[: before.rindex(_mark_of(before)) - 1])
            behind = _decoded(self._empty_table(), after)
        except Undecodable:
            return False
        return [*ahead, (_TRACEPARENT, text_of(value)), *behind] == fields and _TRACEPARENT not in dict(ahead)

    def _empty_table(self) -> hpack.Decoder:
        decoder = hpack.Decoder(self._largest)
        decoder.header_table_size = 0
        return decoder


def _decoded(decoder: hpack.Decoder, block: bytes) -> Fields:
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except (hpack.HPACKError, IndexError, ValueError) as error:
        # Its message may have all of the block in it.
        raise Undecodable(type(error).__name__) from error


def _remember(known: dict[_Key, Request], key: _Key, request: Request) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = request


def _mark_of(before: bytes) -> bytes:
    return next(mark for mark in _MARKS if before.endswith(mark))


def _cut(block: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Up to the name `traceparent`, its value as a string literal with its length, and what follows."""
    for mark in _MARKS:
        at = block.find(mark)
        if at < 0:
            continue
        start = at + len(mark)
        length = block[start] & ~_HUFFMAN if start < len(block) else 127
        # 127 and more go on in further bytes; no traceparent is as long.
        if length < 127 and start + 1 + length <= len(block):
            end = start + 1 + length
            return block[:start], block[start:end], block[end:]
    return None
