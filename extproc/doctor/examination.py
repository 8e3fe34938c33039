"""Runs checks beside each other, each within its time: one that hangs or breaks hides nothing of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from extproc.doctor.checks import Check
from extproc.doctor.finding import Finding, State, unknown
from extproc.doctor.installation import Installation


@dataclass(frozen=True, slots=True)
class Examined:
    """One check, and what it found."""

    name: str
    findings: Sequence[Finding]

    @property
    def state(self) -> State:
        """The worst."""
        return max((each.state for each in self.findings), key=lambda state: state.severity, default=State.UNKNOWN)


async def examine(at: Installation, checks: Mapping[str, Check]) -> list[Examined]:
    """All of them, in their order. Never raises for a check."""
    found = await asyncio.gather(*(_run(at, name, check) for name, check in checks.items()))
    return [Examined(name, findings) for name, findings in zip(checks, found, strict=True)]


async def _run(at: Installation, name: str, check: Check) -> Sequence[Finding]:
    findings: list[Finding] = []
    within = at.wishes.timeout
    try:
        async with asyncio.timeout(within), aclosing(check(at)) as found:
            async for finding in found:
                findings.append(finding)  # noqa: PERF401 - those found before the time is up count
    except TimeoutError:
        findings.append(unknown("check", f"it was not done after {within:g} s", "give it more time with --timeout"))
    except Exception as error:  # A fault of ours in one check is no reason to be silent about the others.
        findings.append(
            unknown("check", f"it broke: {type(error).__name__}: {str(error)[:200]}", f"please report it: {name}")
        )
    return findings
