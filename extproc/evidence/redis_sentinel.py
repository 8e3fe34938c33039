"""One master, found by asking Sentinels.

All Sentinels are asked at once, and the one whose configuration is the newest (`config-epoch`) is believed: right
after a failover some still name the old master. Asked when first needed, after every failure, and twice a second of
use, for a master that was replaced while it was cut off, or by hand, goes on answering until a Sentinel demotes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from extproc.evidence.lookout import BOUND, Lookout, Settling, heard
from extproc.evidence.reach import Command, NoScript, Reach
from extproc.evidence.redis_single import SingleRedis
from extproc.evidence.store import StoreUnavailable

_ASK_EVERY: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Told:
    """One Sentinel's answer."""

    epoch: int
    host: str
    port: int


class SentinelRedis:
    """`Reach` to the present master."""

    def __init__(
        self,
        open_server: Callable[[str, int], SingleRedis],
        sentinels: Sequence[SingleRedis],
        master: str,
        name: str,
        *,
        settling: float,
    ) -> None:
        self.name = name
        self._open = open_server
        self._sentinels = sentinels
        self._wanted = master
        self._settling = Settling(name, settling + 2 * BOUND)
        self._address: tuple[str, int] | None = None
        self._server: SingleRedis | None = None
        self._lookout = Lookout(self._look, every=_ASK_EVERY)

    async def round_trip(self, *commands: Command) -> list[Any]:
        server = await self._lookout.found()
        try:
            answers = await server.round_trip(*commands)
        except NoScript:
            raise
        except BaseException:  # Also when the caller gave up waiting: perhaps it never answers again.
            self._lookout.again()
            raise
        if server is not self._server:
            raise StoreUnavailable(f"{server.name}: no longer the master")
        return answers

    def raise_if_unsettled(self) -> None:
        self._settling.raise_if_unsettled()

    async def masters(self) -> Sequence[Reach]:
        return (await self._lookout.found(),)

    async def close(self) -> None:
        await self._lookout.close()
        servers = [*self._sentinels, *([self._server] if self._server else [])]
        await asyncio.gather(*(server.close() for server in servers))

    async def _look(self) -> SingleRedis:
        told = max(await heard(map(self._ask, self._sentinels)), key=lambda one: one.epoch)
        address = (told.host, told.port)
        if self._server is None or address != self._address:
            replaced, self._server, self._address = self._server, self._open(*address), address
            if replaced is not None:
                self._settling.begin()
                await replaced.close()
        return self._server

    async def _ask(self, sentinel: SingleRedis) -> _Told:
        # Both, for while it leads a failover it has the new epoch, but in its record still the old master's address.
        address, words = await sentinel.round_trip(
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._wanted), ("SENTINEL", "MASTER", self._wanted)
        )
        try:
            host, port = address
            record = dict(zip(words[::2], words[1::2], strict=True))
            return _Told(int(record[b"config-epoch"]), host.decode(), int(port))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreUnavailable(f"{sentinel.name}: an answer that cannot be read: {error!r}") from error
