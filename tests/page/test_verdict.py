"""A snapshot in sentences."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from extproc.page.meaning import MEANING, meaning
from extproc.page.snapshot import Made, Snapshot
from extproc.page.verdict import Level, pulls, verdict
from extproc.routing.reason import Reason
from tests.page.snapshots import HERE, LOGIN, PRIMARY, PUSH, condition, site, snapshot


def said(now: Snapshot) -> list[tuple[Level, str]]:
    return [(finding.level, finding.text) for finding in verdict(now)]


def test_all_is_well() -> None:
    assert said(snapshot({HERE: 1})) == [(Level.GOOD, "Everything works.")]


def test_nothing_was_pulled() -> None:
    nothing = [(Level.NOTE, "Nothing was pulled in the last hour."), (Level.GOOD, "Everything works.")]
    assert said(snapshot()) == nothing
    assert said(snapshot({LOGIN: 3, PUSH: 1})) == nothing


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        ({"workers": 0, "ready": False}, Level.FAULT, "No worker serves"),
        ({"workers": 1}, Level.WARNING, "1 of 2 workers serve."),
        ({"store": "degraded"}, Level.FAULT, "The store is away: every read goes to the primary"),
        ({"keys_known": 0, "keys": "missing: refused"}, Level.FAULT, "No key of the token issuer is known"),
        ({"keys": "stale: refused"}, Level.WARNING, "could not be fetched again, so the last good ones are in use"),
        ({"configuration": "broken, the one before is in force: x"}, Level.WARNING, "Configuration: broken"),
        ({"mode": "promoted"}, Level.NOTE, "This site is the primary"),
        ({"mode": "primary-only"}, Level.NOTE, "Mode primary-only: every request goes to the primary."),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], level: Level, text: str) -> None:
    found = [each for each in said(snapshot({PRIMARY: 1}, condition=condition(**changes))) if text in each[1]]
    assert [each for each, _ in found] == [level]


def test_every_fault_names_a_remedy() -> None:
    bad = condition(workers=0, store="degraded", keys_known=0, keys="missing: x", configuration="broken: y")
    faults = [finding for finding in verdict(snapshot(condition=bad)) if finding.level is Level.FAULT]
    assert len(faults) == 3
    assert all(finding.remedy for finding in faults)


def test_the_worst_comes_first_and_nothing_is_called_good_beside_it() -> None:
    found = verdict(snapshot(condition=condition(mode="observe", store="degraded", workers=1)))
    assert [finding.level for finding in found] == [Level.FAULT, Level.WARNING, Level.NOTE]


def test_passthrough_needs_no_key() -> None:
    assert said(snapshot({HERE: 1}, condition=condition(keys_needed=False, keys_known=0))) == [
        (Level.GOOD, "Everything works.")
    ]


def test_a_worker_that_does_not_answer() -> None:
    assert said(snapshot({HERE: 1}, workers_answered=1))[0][1].startswith("1 of 2 workers did not answer")


def test_replication_behind() -> None:
    late = said(snapshot({HERE: 1}, site=site(awaited=3, longest_wait=4000.0)))
    assert late[0][0] is Level.WARNING
    assert "3 pushed manifests are not here yet, the oldest for 1 h 6 min" in late[0][1]
    assert said(snapshot({HERE: 1}, site=site(awaited=3, longest_wait=20.0))) == [(Level.GOOD, "Everything works.")]


def test_a_store_that_does_not_tell_though_requests_reach_it() -> None:
    assert said(snapshot({HERE: 1}, site=site(detail="no answer within 5 s")))[0] == (
        Level.WARNING,
        "The store does not tell the site's figures: no answer within 5 s.",
    )


def test_an_envoy_that_is_not_heard_is_no_fault_of_the_site() -> None:
    assert said(snapshot({HERE: 1}, envoy="refused")) == [
        (Level.NOTE, "What each site served is not known: refused.")
    ]


def test_what_mode_serve_would_do() -> None:
    seen = {Made("mode-observe", "primary", "blob", "secondary"): 3, Made("mode-observe", "primary", "blob", ""): 1}
    assert said(snapshot(seen, condition=condition(mode="observe")))[0][1] == (
        "Mode observe: every request goes to the primary. Mode serve would send 75% of pulls here."
    )


def test_pulls_are_reads_that_no_push_makes() -> None:
    found = pulls(Counter({HERE: 6, PRIMARY: 2, LOGIN: 50, PUSH: 40}))
    assert (found.here, found.primary, found.share) == (6, 2, 0.75)
    refused = Made("token-expired", "refused", "blob", "")
    assert pulls(Counter({refused: 5})).share is None
    assert pulls(Counter({Made("promoted", "local", "blob", ""): 5})).share == 1


def test_each_reason_has_a_meaning() -> None:
    assert set(MEANING) == set(Reason)
    assert meaning("digest-present") == "this site has it"
    assert meaning("made-up") == ""
