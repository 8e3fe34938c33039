"""One look-up that no task waits for: from Redis' answer to evidence, in the turn in which it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from extproc.evidence.model import Evidence
from extproc.evidence.reach import NoScript
from extproc.evidence.redis_wire import Asked
from extproc.oci.reference import Digest, Name, Tag


class Answering(Protocol):
    """Knows what Redis' answers say."""

    def evidence_in(self, answers: list[Any], reference: Tag | Digest) -> Evidence | None:
        """None where more must be asked. Raises StoreUnavailable."""

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        """The long way, which asks all there is to ask."""


class RedisQuestion:
    """`store.Question`. What is seldom (a script that the server does not know, a site without a generation) is
    asked again by a task."""

    __slots__ = ("_name", "_over", "_reference", "_store", "_task", "_then", "asked")

    def __init__(
        self,
        store: Answering,
        name: Name,
        reference: Tag | Digest,
        then: Callable[[Evidence | Exception], None],
    ) -> None:
        self._store = store
        self._name = name
        self._reference = reference
        self._then = then
        self._over = False
        self._task: asyncio.Task[Evidence] | None = None
        self.asked: Asked | None = None

    def told(self, outcome: list[Any] | Exception) -> None:
        """Hears redis_wire's answers."""
        self.asked = None
        if isinstance(outcome, list):
            try:
                evidence = self._store.evidence_in(outcome, self._reference)
            except Exception as error:
                self._end(error)
                return
            if evidence is not None:
                self._end(evidence)
                return
        elif not isinstance(outcome, NoScript):
            self._end(outcome)
            return
        if not self._over:
            self._task = asyncio.create_task(self._store.decide(self._name, self._reference))
            self._task.add_done_callback(self._decided)

    def give_up(self) -> None:
        self._over = True
        if self.asked is not None:
            self.asked.give_up()
        if self._task is not None:
            self._task.cancel()

    def _decided(self, task: asyncio.Task[Evidence]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        self._end(task.result() if error is None else error if isinstance(error, Exception) else RuntimeError(error))

    def _end(self, outcome: Evidence | Exception) -> None:
        if not self._over:
            self._over = True
            self._then(outcome)
