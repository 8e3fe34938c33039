"""Promises P1 to P6 under each fault of the table, on one system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.faults import report
from tests.faults.clock import token_of
from tests.faults.fault import Fault, run
from tests.faults.judge import Verdict
from tests.faults.load import LAYER, name_of
from tests.faults.rig import Rig, open_rig
from tests.faults.table import FAULTS
from tests.support.registry_client import digest_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with open_rig() as opened:
        yield opened


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Iterator[dict[str, Verdict]]:
    """By fault; printed and written once all have been run."""
    found: dict[str, Verdict] = {}
    yield found
    report.write(found)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{report.table(found)}")


@pytest.mark.parametrize(
    ("ahead", "reason"),
    [
        pytest.param(30, "digest", id="ahead, within the leeway"),
        pytest.param(300, "token", id="five minutes ahead"),
        # Its tokens live five minutes, so this one has just ended, by our clock.
        pytest.param(-300, "digest", id="five minutes behind"),
        pytest.param(-330, "digest", id="behind, within the leeway"),
        pytest.param(-400, "token", id="behind, beyond the leeway"),
    ],
)
async def test_a_clock_that_is_not_ours(rig: Rig, ahead: int, reason: str) -> None:
    """A token up to `auth.leeway` (60 s) early or late is taken, and no other: just as the primary judges."""
    where = rig.sandbox
    token = token_of(where.sites.signing.private_key, name_of(0), ahead)
    path = f"/v2/{name_of(0)}/blobs/{digest_of(LAYER)}"
    answers = []
    for url in (where.edge.registry_url, where.sites.primary.url):
        async with rig.http.get(url + path, headers={"Authorization": f"Bearer {token}"}) as answer:
            answers.append(answer)
    here, primary = answers
    assert here.status == primary.status == (200 if reason == "digest" else 401)
    assert here.headers["x-geo-reason"].startswith(reason)
    if here.status == 401:
        assert 'error="invalid_token"' in here.headers["WWW-Authenticate"]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name.replace(" ", "-")) for fault in FAULTS])
async def test_fault(rig: Rig, verdicts: dict[str, Verdict], fault: Fault) -> None:
    verdict = verdicts[fault.name] = await run(rig, fault)
    assert not verdict.broken, "\n".join(verdict.broken[:5])
    assert verdict.recovered_after is not None


async def test_slow_senders_were_ended(rig: Rig) -> None:
    """Envoy's `request_headers_timeout` is 10 s; they have been sending since their fault."""
    assert rig.senders
    async with asyncio.timeout(30):
        await asyncio.gather(*rig.senders)


async def test_deletions_were_taken(rig: Rig) -> None:
    """Each may be refused (judge.py, rule 7), and without a processor all are; else they are taken."""
    deletions = [entry for entry in rig.ledger.entries if entry.kind == "delete"]
    assert sum(entry.good for entry in deletions) > len(deletions) / 4


async def test_nothing_failed_that_nobody_expected(rig: Rig) -> None:
    """No fault around us is a fault of ours: each has its sentence in the log, and none a traceback."""
    lines = rig.sandbox.workspace.log("extproc").read_text(errors="replace").splitlines()
    assert not [line for line in lines if "Traceback" in line][:1]
