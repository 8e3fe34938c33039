"""A change as a whole, or nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from extproc.auth.keys import KeysInvalid
from extproc.live.reload import Reload
from extproc.settings import Settings
from tests.live.test_change import BASE

DEBUG = 'telemetry.log_level = "debug"'


class Subject:
    """A file, and who adopts what is in it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "geo.toml"
        self.write("")
        self.adopted: list[str] = []
        self.outcomes: list[bool] = []
        self.refuse = False
        self.needed: Path | None = None
        self.fault: Exception | None = None
        self.told = asyncio.Event()
        self.reload = Reload(self.file, Settings.load(self.file), self.adopt, on_reload=self.outcomes.append)

    def write(self, text: str) -> None:
        new = self.file.with_name("new")
        new.write_text(text + "\n" + BASE)
        new.rename(self.file)

    def adopt(self, settings: Settings) -> None:
        if self.fault is not None:
            raise self.fault
        if self.refuse or (self.needed and self.needed in settings.auth.keys and not self.needed.exists()):
            raise KeysInvalid("/keys is empty: mount them.")
        self.adopted.append(settings.telemetry.log_level)
        self.told.set()


@asynccontextmanager
async def kept(subject: Subject) -> AsyncIterator[None]:
    keeping = asyncio.create_task(subject.reload.keep())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(20):
            yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


def test_the_log_tells_what_has_changed_and_nothing_else(subject: Subject) -> None:
    def told() -> list[tuple[str, str]]:
        with capture_logs() as logs:
            subject.reload.now()
        return [(line["log_level"], line["event"]) for line in logs]

    read, broken = "configuration read", "the configuration is broken: the one before stays in force"
    assert told() == []
    subject.write(DEBUG)
    assert (told(), told()) == ([("info", read)], [])
    subject.write("= = =")
    assert told() == [("error", broken)]
    subject.write(DEBUG)
    assert (told(), told()) == ([("info", "the configuration is good again")], [])
    subject.write(DEBUG + "\nserver.workers = 1\nserver.drain = 9")
    assert (told(), told()) == ([("warning", read)], [])
    subject.write(DEBUG)
    assert (told(), told()) == ([("info", read)], [])


def test_good(subject: Subject) -> None:
    subject.write(DEBUG)
    subject.reload.now()
    assert (subject.adopted, subject.outcomes, subject.reload.word) == (["debug"], [True], "ok")
    assert subject.reload.settings.telemetry.log_level == "debug"


def test_what_waits_for_a_restart_is_said_until_it_is_taken_back(subject: Subject) -> None:
    subject.write("server.workers = 3\nstore.url = 'redis://x'\n" + DEBUG)
    subject.reload.now()
    assert subject.adopted == ["debug"]
    assert subject.reload.word == "restart needed: server.workers, store.url"
    assert subject.reload.settings.server.workers == 1
    subject.write("")
    subject.reload.now()
    assert subject.reload.word == "ok"


@pytest.mark.parametrize("text", ["telemetry.log_level = 5", "telemetry.colour = 1", "= = ="])
def test_a_broken_file_changes_nothing_and_is_seen(subject: Subject, text: str) -> None:
    subject.write(text)
    with capture_logs() as logs:
        subject.reload.now()
    assert (subject.adopted, subject.outcomes) == ([], [False])
    assert subject.reload.word.startswith("broken, the one before is in force: ")
    assert [line["log_level"] for line in logs] == ["error"]
    subject.write(DEBUG)
    subject.reload.now()
    assert (subject.adopted, subject.reload.word) == (["debug"], "ok")


def test_a_broken_key_file_changes_nothing_and_is_seen(subject: Subject) -> None:
    subject.refuse = True
    subject.write(DEBUG)
    subject.reload.now()
    assert "/keys is empty: mount them." in subject.reload.word
    assert subject.reload.settings.telemetry.log_level == "info"


def test_a_file_that_is_gone(subject: Subject) -> None:
    subject.file.unlink()
    subject.reload.now()
    assert "cannot read the configuration" in subject.reload.word


async def test_it_is_noticed_by_itself(subject: Subject) -> None:
    keeping = asyncio.create_task(subject.reload.keep())
    await asyncio.sleep(0)
    subject.write(DEBUG)
    await asyncio.wait_for(subject.told.wait(), 10)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert subject.adopted == ["debug"]


async def test_sighup_reads_it_though_nothing_has_changed(subject: Subject) -> None:
    keeping = asyncio.create_task(subject.reload.keep())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.wait_for(subject.told.wait(), 10)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert subject.adopted == ["info"]


async def test_what_changed_before_the_first_look_is_adopted(tmp_path: Path) -> None:
    """Between reading the file and the first look at it a start may wait for the issuer."""
    subject = Subject(tmp_path)
    before = subject.reload.settings
    subject.write(DEBUG)
    subject.reload = Reload(subject.file, before, subject.adopt, on_reload=subject.outcomes.append)
    async with kept(subject):
        await asyncio.wait_for(subject.told.wait(), 10)
    assert (subject.adopted, subject.outcomes) == (["debug"], [True])


async def test_key_files_that_changed_before_the_first_look_are_read_again_and_nothing_is_told(
    subject: Subject,
) -> None:
    with capture_logs() as logs:
        async with kept(subject):
            await asyncio.wait_for(subject.told.wait(), 10)
    assert (subject.adopted, subject.outcomes, logs) == (["info"], [], [])


async def test_a_key_file_that_comes_after_the_configuration_that_names_it(tmp_path: Path) -> None:
    """Two mounts are two updates, in any order."""
    subject = Subject(tmp_path)
    key = tmp_path / "new.pem"
    subject.needed = key
    async with kept(subject):
        subject.file.write_text(subject.file.read_text().replace('keys = ["k"]', 'keys = ["new.pem"]'))
        while not subject.outcomes:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.01)
        key.touch()
        await asyncio.wait_for(subject.told.wait(), 10)
    assert subject.reload.settings.auth.keys == (key,)
    assert subject.reload.word == "ok"


async def test_a_fault_of_ours_is_seen_and_the_next_change_is_adopted(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    subject.fault = RuntimeError("of ours")
    async with kept(subject):
        with capture_logs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            while not subject.outcomes:  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0.01)
        assert subject.reload.word.endswith("RuntimeError: of ours")
        assert [line["log_level"] for line in logs] == ["error"]
        subject.fault = None
        subject.write(DEBUG)
        await asyncio.wait_for(subject.told.wait(), 10)
    assert (subject.adopted, subject.reload.word) == (["debug"], "ok")
