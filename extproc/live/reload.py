"""A changed file is read, judged and adopted as a whole, or nothing changes and everybody can see why."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

from extproc.auth.keys import KeysInvalid
from extproc.live.change import change_of
from extproc.live.signals import heard
from extproc.live.watch import INTERVAL, Watch
from extproc.settings import Settings, SettingsError

log = structlog.get_logger()


class Reload:
    """What is in force, and what became of the last try to change it."""

    def __init__(
        self,
        config: Path,
        settings: Settings,
        adopt: Callable[[Settings], None],
        *,
        on_reload: Callable[[bool], None] = lambda good: None,
        load: Callable[[Path], Settings] = Settings.load,
    ) -> None:
        """`adopt` takes settings, whose key files may have changed too, into force; it raises SettingsError or
        auth.keys.KeysInvalid before it has changed anything. `on_reload` hears of each try, whether it was good."""
        self.settings = settings
        self._config = config
        self._adopt = adopt
        self._on_reload = on_reload
        self._load = load
        self._tried = settings.auth.keys
        """Key files of the settings that were read last, also when those were refused for want of them."""
        self._watch = Watch(self._files())
        self._asked = asyncio.Event()
        self._fault = ""
        self._waiting: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """For `/readyz`."""
        if self._fault:
            return f"broken, the one before is in force: {self._fault}"
        return f"restart needed: {', '.join(self._waiting)}" if self._waiting else "ok"

    def now(self, *, at_start: bool = False) -> None:
        """Read the file again, and adopt it if it is good. `at_start`: it was read a moment ago, and nothing is said
        of what is as it was then."""
        try:
            read = self._load(self._config)
            self._tried = read.auth.keys
            change = change_of(self.settings, read)
            self._adopt(change.settings)
        except (SettingsError, KeysInvalid) as error:
            self._fault = str(error)
            self._on_reload(False)
            log.error(  # noqa: TRY400 - no fault of ours
                "the configuration is broken: the one before stays in force", detail=self._fault
            )
            return
        except Exception as error:
            # Whoever waits for the next change must live to see it.
            self._fault = f"{type(error).__name__}: {error}"
            self._on_reload(False)
            log.exception("the configuration cannot be adopted, by a fault of ours")
            return
        mended, waited = bool(self._fault), self._waiting
        self.settings, self._waiting, self._fault = change.settings, change.waiting, ""
        if at_start and not (change.adopted or change.waiting):
            return
        self._on_reload(True)
        if mended:
            log.info("the configuration is good again")
        if change.adopted or change.waiting != waited:
            tell = log.warning if change.waiting else log.info
            tell("configuration read", changed=change.adopted, restart_needed=change.waiting)

    async def keep(self) -> None:
        """Until cancelled: whenever a file has changed, and at SIGHUP."""
        with heard(signal.SIGHUP, self._asked.set):
            at_start = True  # what has changed between the first reading and the first look
            while True:
                try:
                    async with asyncio.timeout(INTERVAL):
                        await self._asked.wait()
                except TimeoutError:
                    pass
                asked, changed = self._asked.is_set(), self._watch.changed(self._files())
                self._asked.clear()
                if asked or changed or at_start:
                    self.now(at_start=not (asked or changed))
                at_start = False

    def _files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self._config, *self.settings.auth.keys, *self._tried)))
