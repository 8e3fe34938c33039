"""Looks for secrets in all that a system wrote: whole, in parts, and in the forms that programs give them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

_PART: Final = 16
"""Bytes of a secret that already say too much: logs cut off what is long."""
TOKEN_LIKE: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}")
"""How every JSON object in base64 begins, so every token's header and claims."""


def forms(secret: str) -> set[bytes]:
    """Its beginning, middle and end; quoted for URLs, in hexadecimal, and in base64 wherever it begins there."""
    raw = secret.encode()
    found = {raw[:_PART], raw[-_PART:], raw[len(raw) // 2 :][:_PART]}
    found |= {quote(secret, safe="").encode()[: 2 * _PART], raw.hex().encode()[: 2 * _PART]}
    for before in range(3):
        # The first characters are of what stands before, the last of what follows.
        plain = base64.b64encode(b"\0" * before + raw).rstrip(b"=")[(before * 8 + 5) // 6 : -1][:_PART]
        found |= {plain, plain.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in found if len(form) >= 8}


def token_forms(token: str) -> set[bytes]:
    """Of the signature; header and claims are found as `TOKEN_LIKE`."""
    return forms(token.rpartition(".")[2])


def leaks(places: Mapping[str, bytes], secrets: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Each place that holds a secret or a token, with the text before it."""
    wanted, found = sorted(secrets), []
    for place, content in places.items():
        starts = [content.find(secret) for secret in wanted]
        if match := TOKEN_LIKE.search(content):
            starts.append(match.start())
        found += [(place, content[max(0, start - 80) : start + 20]) for start in starts if start >= 0]
    return found
