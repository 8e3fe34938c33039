"""Virtual time. The memory store takes a clock; the scripts in Redis ask for TIME, so there it is put in their place.

`TimedReach` stands between RedisStore and the server, and changes one thing: each script runs with

    local clock = redis.call('TIME')

replaced by the same two numbers from a second key's name, which it adds to the call. All else, scripts, arguments
and answers, is as ever. The result is the same as if the hours had passed, for a script knows time by that line
alone; the one thing that goes by the server's own clock is a key's life, which is a week here and outlasts every run.
(Scaling the settings instead would not do: the store dates presence by whole seconds, and a push settles for 5 s,
which no setting changes.) What exchanges cost is measured without this, by cost.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from extproc.evidence import script
from extproc.evidence.reach import Command, NoScript, Reach

_ASKS = "local clock = redis.call('TIME')"
_TOLD = "local clock = {KEYS[2]:sub(1, -7), KEYS[2]:sub(-6)}"


class Clock:
    """Seconds since an epoch that is long ago, as TIME gives them."""

    START = 1_800_000_000.0

    def __init__(self) -> None:
        self.now = self.START

    def __call__(self) -> float:
        return self.now

    @property
    def micros(self) -> int:
        return int(self.now * 1e6)


class TimedReach:
    """`Reach` to `reach`, at the time that `clock` tells."""

    def __init__(self, reach: Reach, clock: Clock) -> None:
        self._reach = reach
        self._clock = clock
        self._scripts: dict[object, tuple[str, str]] = {}
        for each in vars(script).values():
            if isinstance(each, script.Script) and _ASKS in each.text:
                text = each.text.replace(_ASKS, _TOLD)
                sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
                self._scripts[each.sha] = sha, text
                self._scripts[each.text] = sha, text

    @property
    def name(self) -> str:
        return self._reach.name

    async def round_trip(self, *commands: Command) -> list[Any]:
        timed = [self._timed(command) for command in commands]
        try:
            return await self._reach.round_trip(*(by_sha for by_sha, _ in timed))
        except NoScript:
            return await self._reach.round_trip(*(by_text for _, by_text in timed))

    def _timed(self, command: Command) -> tuple[Command, Command]:
        """With EVALSHA, and with EVAL."""
        if command[0] not in ("EVALSHA", "EVAL") or command[1] not in self._scripts:
            return command, command
        sha, text = self._scripts[command[1]]
        rest: Command = (2, command[3], str(self._clock.micros), *command[4:])
        return ("EVALSHA", sha, *rest), ("EVAL", text, *rest)

    def raise_if_unsettled(self) -> None:
        self._reach.raise_if_unsettled()

    async def masters(self) -> Sequence[Reach]:
        return await self._reach.masters()

    async def close(self) -> None:
        await self._reach.close()
