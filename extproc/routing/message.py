"""The heads of an exchange: what routing needs to know of a request and of its final answer.

Header values are decoded as latin-1 (RFC 9110 §5.5: other octets are opaque data), so every byte has a
character and can be written back unchanged. A header that came more than once is joined with commas
(RFC 9110 §5.3), save where a tuple keeps its lines apart; an absent one is the empty text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(init=False, slots=True)
class RequestHead:
    """A request before it is routed."""

    method: str
    path: str
    """`:path` as the client sent it, with its query."""
    authorization: tuple[str, ...]
    """One for each header of the message. Envoy joins a client's lines with commas before: `Bearer a,Basic b`."""
    accept: tuple[str, ...]
    """As `authorization`."""
    end_of_stream: bool
    """No body follows."""
    traceparent: str
    """The client's own trace context (W3C), older than the one that Envoy sends with the stream."""

    def __init__(  # noqa: PLR0917 - its fields
        self,
        method: str,
        path: str,
        authorization: tuple[str, ...],
        accept: tuple[str, ...],
        end_of_stream: bool,
        traceparent: str = "",
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.method = method
        self.path = path
        self.authorization = authorization
        self.accept = accept
        self.end_of_stream = end_of_stream
        self.traceparent = traceparent


class ResponseHead(NamedTuple):
    """The final attempt's answer, before it is passed on to the client."""

    status: int
    """0 when it is not three digits."""
    digest: str
    """`Docker-Content-Digest`, not validated."""
    content_type: str
    site: str
    """`geo.site` in the metadata of the last attempt's endpoint; empty when there is none.

    Set also where that endpoint did not answer and Envoy made the 5xx itself.
    """
    attempts: int
    """Upstream attempts, the last one included; 0 when unknown."""


class Unread(Protocol):
    """A traceparent that is decoded when somebody reads it, by `str()`."""

    @property
    def unsampled(self) -> bool:
        """It is known already that its trace is not recorded."""
