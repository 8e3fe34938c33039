"""The one field whose value differs with each request (W3C Trace Context), read only when somebody wants to.

Most traces are not recorded, and that shows without decoding: a value in HPACK's Huffman code (RFC 7541, appendix B)
goes through an automaton byte by byte, which says whether it is one, and whether it ends in `00`.
"""

from __future__ import annotations

from typing import Final

import hpack
from hpack.huffman_table import decode_huffman

_HUFFMAN: Final = 0x80
"""The first bit of a string literal that is so encoded (section 5.2)."""
_USUAL: Final = b"0123456789abcdef-"
_CODES: Final = {
    **{"0": "00000", "1": "00001", "2": "00010", "a": "00011", "c": "00100", "e": "00101", "-": "010110"},
    **{"3": "011001", "4": "011010", "5": "011011", "6": "011100", "7": "011101", "8": "011110", "9": "011111"},
    **{"b": "100011", "d": "100100", "f": "100101"},
}
"""The code of each character of `_USUAL`."""
_PADDING: Final = tuple("1" * length for length in range(8))
"""What the last byte may be filled up with."""


_CHARACTERS: Final = {code: character for character, code in _CODES.items()}
_BEGUN: Final = {code[:length] for code in _CHARACTERS for length in range(len(code))}.union(_PADDING)


class _Automaton:
    """Knows a state by the bits of a character that is not whole, and how many zeros, as far as two, came last. There
    are some sixty; of each, the next one by each byte, found out when first asked for."""

    def __init__(self) -> None:
        self.next: list[bytes] = []
        """0 where it was not asked for: none leads back to the first state."""
        self.ends: list[bool] = []
        """Whether a value may."""
        self.unsampled: list[bool] = []
        self._states: list[tuple[str, int]] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._number(("", -1))  # the first, and no byte's: behind a byte there are none or more zeros

    def step(self, state: int, byte: int) -> int:
        """To the next state. Raises KeyError for a byte that none has."""
        rest, zeros = self._states[state]
        for bit in f"{byte:08b}":
            rest += bit
            character = _CHARACTERS.get(rest)
            if character is not None:
                rest, zeros = "", min(max(zeros, 0) + 1, 2) if character == "0" else 0
        if rest not in _BEGUN:
            raise KeyError(byte)
        found = self._number((rest, zeros))
        known = self.next[state]
        self.next[state] = known[:byte] + bytes((found,)) + known[byte + 1 :]
        return found

    def _number(self, state: tuple[str, int]) -> int:
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            self.next.append(bytes(256))
            self.ends.append(state[0] in _PADDING)
            self.unsampled.append(state[1] == 2)
        return number


_AUTOMATON: Final = _Automaton()


class Traceparent:
    """A value as it came. `str()` reads it."""

    __slots__ = ("_literal", "_text", "unsampled")

    def __init__(self, text: bytes, *, literal: bytes = b"", unsampled: bool = False) -> None:
        """`literal`, if there is one, instead of `text`: a string literal with its length, in Huffman's code."""
        self._text = text
        self._literal = literal
        self.unsampled = unsampled
        """It is known, without reading it, that its trace is not recorded."""

    @staticmethod
    def usual(literal: bytes) -> Traceparent | None:
        """Of a string literal with its length, below 127. None where there is anything but digits, a to f and hyphens
        in it, or it cannot be decoded."""
        if not literal[0] & _HUFFMAN:
            text = literal[1:]
            return None if text.translate(None, _USUAL) else Traceparent(text, unsampled=text.endswith(b"-00"))
        state, following = 0, _AUTOMATON.next
        try:
            for byte in literal[1:]:
                state = following[state][byte] or _AUTOMATON.step(state, byte)
        except KeyError:
            return None
        if len(literal) == 1 or not _AUTOMATON.ends[state]:
            return None
        return Traceparent(b"", literal=literal, unsampled=_AUTOMATON.unsampled[state])

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
