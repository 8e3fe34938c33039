"""A short run of each target finds nothing, and each target finds a fault that is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jinja2 import Environment

from extproc.auth.verification_key import VerificationKey
from extproc.notification.effect import Effect
from extproc.notification.event import Event, Site
from extproc.oci.operation import Operation
from extproc.oci.parse import parse_operation
from extproc.page import writing
from extproc.routing.decision import Forward, Route
from extproc.routing.router import Pending, Routed, Router
from tests.fuzz import admin, notification, path, targets
from tests.fuzz.__main__ import run

RUNS = 2000


@pytest.mark.parametrize("name", targets.NAMES)
def test_a_short_run_finds_nothing(name: str, tmp_path: Path) -> None:
    """Always the same inputs: a fixed seed, a fixed number of them, nothing learned before, and nothing read again.

    What is learned is otherwise read from its folder each second, and what has been replaced there is run once more:
    the clock would decide on the inputs, and at the end on their number.
    """
    done = run(name, tmp_path, f"-runs={RUNS}", "-seed=1", "-reload=0", within=200)
    assert not done.failed, f"{done.reason}: {done.kept and done.kept.read_bytes()!r}"
    assert done.executions == RUNS


def finds(name: str) -> str:
    """What the kept inputs find wrong now."""
    check = targets.load(name)
    for kept in sorted(targets.corpus(name).iterdir()):
        try:
            check(kept.read_bytes())
        except AssertionError as error:
            return str(error)
    return "nothing"


def test_a_path_read_as_some_registry_would(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(method: str, target: str) -> Operation:
        return parse_operation(method, unquote(target))

    monkeypatch.setattr(path, "parse_operation", decoded)
    assert finds("path") != "nothing"


def test_a_signature_that_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerificationKey, "verifies", lambda *_: True)
    assert finds("token").startswith("joserfc refuses what we let in")


def test_a_deletion_that_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(site: Site, event: Event) -> tuple[Effect, ...]:
        return ()

    monkeypatch.setattr(notification, "effects_of", none)
    assert finds("notification").startswith("a deletion that changes nothing")


def test_a_write_that_goes_to_the_secondary(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Router.finish

    async def wrong(router: Router, pending: Pending) -> Routed:
        routed = await right(router, pending)
        if isinstance(routed.decision, Forward):
            return replace(routed, decision=replace(routed.decision, route=Route.SECONDARY))
        return routed

    monkeypatch.setattr(Router, "finish", wrong)
    assert finds("stream").startswith("nothing but reads goes to the secondary")


def test_an_unreadable_copy_that_nobody_hears_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(_: admin.Copies) -> None:
        """Nothing follows."""

    monkeypatch.setattr(admin.Copies, "unreadable", deaf)
    assert finds("admin").startswith("a write that nobody saw")


def test_a_page_that_shows_what_was_asked_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def unescaped(**options: Any) -> Environment:
        return Environment(**{**options, "autoescape": False})  # noqa: S701 - the fault

    admin.stop()  # the next input's server has pages of its own
    monkeypatch.setattr(writing, "Environment", unescaped)
    found = finds("admin")
    admin.stop()
    assert found.startswith("a page has [")
