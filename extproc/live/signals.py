"""Signals that ask for something while we serve. Their default would end us at once, without a drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def ignore_requests() -> None:
    """From now on, except while they are `heard`: at a start nothing can be read anew or restarted yet, at the end
    not any more, and a worker or a process alone has nothing to restart."""
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def heard(number: signal.Signals, call: Callable[[], None]) -> Iterator[None]:
    """The signal makes the running loop call `call` meanwhile; then it does what it did before."""
    loop, before = asyncio.get_running_loop(), signal.getsignal(number)
    loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
        signal.signal(number, before)
