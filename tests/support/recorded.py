"""A recorder of exchanges that remembers what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from extproc.routing.message import RequestHead, ResponseHead, Unread
from extproc.routing.router import Routed


@dataclass
class Recorded:
    """Of one exchange."""

    head: RequestHead
    traceparent: str
    traced: bool = False
    routed: Routed | None = None
    answer: ResponseHead | None = None
    blocks: list[str] = field(default_factory=list)
    """That were entered and left, in order."""

    def __enter__(self) -> Self:
        self.blocks.append("deciding")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.blocks.append("decided")

    def decided(self, routed: Routed) -> None:
        assert self.routed is None
        self.routed = routed

    @contextmanager
    def observing(self, routed: Routed, head: ResponseHead) -> Iterator[None]:
        assert routed is self.routed
        self.answer = head
        self.blocks.append("observing")
        yield
        self.blocks.append("observed")


@dataclass
class Recorder:
    traced: bool = False
    exchanges: list[Recorded] = field(default_factory=list)

    def deciding(self, head: RequestHead, traceparent: str | Unread) -> Recorded:
        self.exchanges.append(Recorded(head, str(traceparent), self.traced))
        return self.exchanges[-1]

    @property
    def decisions(self) -> list[Routed]:
        return [each.routed for each in self.exchanges if each.routed is not None]
