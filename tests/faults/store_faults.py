"""Of Redis, and of the way to it."""

from __future__ import annotations

from typing import Final

from tests.faults.allowed import without_evidence
from tests.faults.fault import Act, Fault
from tests.faults.relay import Mode, redis_answers
from tests.faults.rig import Rig

_PASSWORD: Final = "a password that nobody was told"


def _relay(mode: Mode, reply: bytes = b"") -> Act:
    async def act(rig: Rig) -> None:
        rig.redis.become(mode, responder=redis_answers(reply) if reply else None)

    return act


async def _kill(rig: Rig) -> None:
    await rig.sandbox.kill("redis")


async def _start(rig: Rig) -> None:
    await rig.sandbox.start("redis")


async def _restart(rig: Rig) -> None:
    await rig.sandbox.restart("redis")


async def _stop(rig: Rig) -> None:
    rig.sandbox.pause("redis")


async def _continue(rig: Rig) -> None:
    rig.sandbox.resume("redis")


async def _read_only(rig: Rig) -> None:
    # Of a master that is not there: it goes on with the data that it has.
    await rig.command("REPLICAOF", "127.0.0.1", "1")


async def _master_again(rig: Rig) -> None:
    await rig.command("REPLICAOF", "NO", "ONE")


async def _password(rig: Rig) -> None:
    await rig.command("CONFIG", "SET", "requirepass", _PASSWORD)
    await rig.command("CLIENT", "KILL", "TYPE", "normal", password=_PASSWORD)


async def _no_password(rig: Rig) -> None:
    await rig.command("CONFIG", "SET", "requirepass", "", password=_PASSWORD)


async def _empty(rig: Rig) -> None:
    await rig.command("FLUSHALL")


async def _no_memory(rig: Rig) -> None:
    await rig.command("CONFIG", "SET", "maxmemory", "1")


async def _memory_again(rig: Rig) -> None:
    await rig.command("CONFIG", "SET", "maxmemory", "0")


def _fault(name: str, begin: Act, end: Act) -> Fault:
    return Fault(f"Redis {name}", begin, end, felt=(without_evidence,))


STORE_FAULTS: Final = (
    _fault("killed", _kill, _start),
    _fault("stopped", _stop, _continue),
    _fault("resets connections", _relay("resetting"), _relay("passing")),
    _fault("drops packets", _relay("dropping"), _relay("passing")),
    _fault("loading", _relay("answering", b"-LOADING Redis is loading the dataset in memory"), _relay("passing")),
    _fault("read-only", _read_only, _master_again),
    _fault("wants a password", _password, _no_password),
    _fault("out of memory", _no_memory, _memory_again),
    Fault("Redis restarted", _restart),
    # Its tombstones are gone too (P6's condition).
    Fault("Redis emptied", _empty, allowed={"gone": frozenset({200})}),
)
