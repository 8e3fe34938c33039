"""One look-up that no task waits for: from Redis' answer to evidence, in the turn in which it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from redis.exceptions import ClusterCrossSlotError

from extproc.evidence.model import Evidence
from extproc.evidence.reach import NoScript
from extproc.evidence.redis_decide import Decide
from extproc.evidence.redis_single import SingleRedis
from extproc.evidence.redis_wire import Asked
from extproc.oci.reference import Digest, Name, Tag

Then = Callable[[Evidence | Exception], None]


class Deciding(Protocol):
    """The long way, by a task."""

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        """Asks all there is to ask. Raises StoreUnavailable."""


class RedisAsking:
    """`store.Asking` where one connection leads to all that is kept."""

    def __init__(self, store: Deciding, words: Decide, reach: SingleRedis) -> None:
        self.store = store
        self.words = words
        self.reach = reach
        self.apart = False
        """The server is one of a Redis Cluster, though all of it: it runs no script on keys of two slots."""

    def ask(self, name: Name, reference: Tag | Digest, then: Then) -> RedisQuestion:
        question = RedisQuestion(self, name, reference, then)
        if self.apart:
            question.go_the_long_way()
        else:
            question.asked = self.reach.ask(question.told, (self.words.command(name, reference),))
        return question


class RedisQuestion:
    """`store.Question`. What is seldom (a script that the server does not know, a site without a generation, a server
    that takes no two keys) is asked again by a task."""

    __slots__ = ("_asking", "_name", "_reference", "_task", "_then", "asked")

    def __init__(self, asking: RedisAsking, name: Name, reference: Tag | Digest, then: Then) -> None:
        self._asking = asking
        self._name = name
        self._reference = reference
        self._then: Then | None = then
        """None once it was told, or nobody waits any more. Let go of: whoever is told knows this, too, and rings are
        left to the collector."""
        self._task: asyncio.Task[Evidence] | None = None
        self.asked: Asked | None = None

    def told(self, outcome: list[Any] | Exception) -> None:
        """Hears redis_wire's answers."""
        self.asked = None
        meaning = self._asking.reach.meaning(outcome)
        if isinstance(meaning, list):
            found = self._evidence(meaning[0])
            if found is not None:
                self._end(found)
                return
        elif isinstance(outcome, list) and isinstance(outcome[0], ClusterCrossSlotError):
            self._asking.apart = True
        elif not isinstance(meaning, NoScript):
            self._end(meaning)
            return
        self.go_the_long_way()

    def go_the_long_way(self) -> None:
        """By a task, which asks all there is to ask."""
        if self._then is not None:
            self._task = asyncio.create_task(self._asking.store.decide(self._name, self._reference))
            self._task.add_done_callback(self._decided)

    def _evidence(self, answer: Any) -> Evidence | Exception | None:
        """None where the site has no generation yet."""
        try:
            generation = answer[-1]
            return None if generation is None else self._asking.words.evidence(answer, generation, self._reference)
        except Exception as error:
            # A fault of ours is this question's alone: whoever tells us goes on.
            return error

    def give_up(self) -> None:
        self._then = None
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
        then, self._then = self._then, None
        if then is not None:
            then(outcome)
