"""Pages of names, each asked for behind a guard. A module of its own, for mypyc compiles no async generator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from extproc.oci.reference import Name

T = TypeVar("T")


class Guard(Protocol):
    """Makes the call within its budget, or raises what the store's users expect."""

    def __call__(self, call: Callable[[], Awaitable[T]], /) -> Awaitable[T]: ...


async def pages_by(guard: Guard, pages: AsyncIterator[Sequence[Name]]) -> AsyncIterator[Sequence[Name]]:
    while (page := await guard(lambda: anext(pages, None))) is not None:
        yield page
