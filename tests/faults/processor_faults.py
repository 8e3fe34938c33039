"""Of the processor: its workers, all of it, its log, its descriptors."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path
from typing import Final

from extproc.sandbox.edge import merged, toml
from tests.faults.allowed import unseen, without_evidence
from tests.faults.fault import Fault
from tests.faults.judge import unrecorded
from tests.faults.rig import Rig, signal_all, until
from tests.support.swap import swap

_RESTARTED: Final = "all workers have been restarted"
_FULL: Final = Path("/dev/full")
"""Takes every open and refuses every byte, as a full disk does (full(4))."""


async def _kill_one(rig: Rig) -> None:
    killed = rig.workers()[0]
    signal_all([killed], signal.SIGKILL)

    async def gone() -> bool:
        return killed not in rig.workers()

    await until(f"worker {killed} is gone", gone)


async def _kill_all_again_and_again(rig: Rig) -> None:
    async def kill_on() -> None:
        while True:
            signal_all(rig.workers(), signal.SIGKILL)
            await asyncio.sleep(1)

    rig.meanwhile(kill_on())


async def _end_killing(rig: Rig) -> None:
    await rig.end_background()
    await rig.all_serve()


async def _all_serve(rig: Rig) -> None:
    await rig.all_serve()


async def _stop_one(rig: Rig) -> None:
    signal_all(rig.workers()[:1], signal.SIGSTOP)


async def _stop_all(rig: Rig) -> None:
    signal_all(rig.workers(), signal.SIGSTOP)


async def _continue(rig: Rig) -> None:
    signal_all(rig.workers(), signal.SIGCONT)


async def _slow(rig: Rig) -> None:
    async def in_turns() -> None:
        while True:
            signal_all(rig.workers(), signal.SIGSTOP)
            await asyncio.sleep(0.6)  # longer than envoy.message_timeout
            signal_all(rig.workers(), signal.SIGCONT)
            await asyncio.sleep(0.2)

    rig.meanwhile(in_turns())


async def _end_slow(rig: Rig) -> None:
    await rig.end_background()
    await _continue(rig)


async def _terminate(rig: Rig) -> None:
    await rig.sandbox.stop("extproc")


async def _start(rig: Rig) -> None:
    await rig.sandbox.start("extproc")
    await rig.all_serve()


async def _restart_one_by_one(rig: Rig) -> None:
    restarted = rig.log_lines(_RESTARTED)
    os.kill(rig.supervisor(), signal.SIGUSR2)

    async def all_of_them() -> None:
        async def is_so() -> bool:
            return rig.log_lines(_RESTARTED) > restarted

        await until("all workers are restarted", is_so)

    rig.meanwhile(all_of_them())


async def _restarted(rig: Rig) -> None:
    await asyncio.gather(*rig.background)


async def _envoy_first(rig: Rig) -> None:
    """And the disk under Envoy's access log is full."""
    settings = merged(rig.sandbox.edge.settings, {"envoy": {"access_log": str(_FULL)}})
    await rig.sandbox.stop("envoy")
    await rig.sandbox.stop("extproc")
    swap(rig.sandbox.edge.config_file, toml(settings).encode())
    await rig.sandbox.start("envoy")


async def _log_again(rig: Rig) -> None:
    swap(rig.sandbox.edge.config_file, toml(rig.sandbox.edge.settings).encode())
    await rig.sandbox.restart("envoy")


async def _fill_its_disk(rig: Rig) -> None:
    rig.sandbox.part("extproc").log = _FULL
    await rig.sandbox.restart("extproc")
    await rig.all_serve()
    # Both of these it wants to tell.
    await rig.command("CLIENT", "KILL", "TYPE", "normal")
    signal_all(rig.workers()[:1], signal.SIGKILL)


async def _empty_its_disk(rig: Rig) -> None:
    await rig.all_serve()
    # For the next start.
    rig.sandbox.part("extproc").log = rig.sandbox.workspace.log("extproc")


async def _no_more_descriptors(rig: Rig) -> None:
    for pid in rig.workers():
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, most))  # those open stay so
    # Now the store must be dialled anew.
    await rig.command("CLIENT", "KILL", "TYPE", "normal")


async def _descriptors_again(rig: Rig) -> None:
    for pid in rig.workers():
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


PROCESSOR_FAULTS: Final = (
    Fault("one worker killed", _kill_one, _all_serve),
    Fault("one worker stopped", _stop_one, _continue, felt=(unseen,)),
    Fault("all workers stopped", _stop_all, _continue, felt=(unseen,)),
    Fault("all workers slow", _slow, _end_slow, felt=(unseen,)),
    Fault("workers without file descriptors", _no_more_descriptors, _descriptors_again, felt=(without_evidence,)),
    Fault("all workers killed, each second", _kill_all_again_and_again, _end_killing, felt=(unseen,)),
    Fault("workers restarted one by one (SIGUSR2)", _restart_one_by_one, _restarted),
    Fault("processor ended by SIGTERM, started later", _terminate, _start, felt=(unseen, unrecorded)),
    # The other way round is how the rig begins.
    Fault("Envoy first, and its log's disk full", _envoy_first, _start, felt=(unseen,), calm=True, tidy=_log_again),
    Fault("disk full under the processor's log", _fill_its_disk, _empty_its_disk),
)  # fmt: skip
