"""Of the two registries, and of the issuer."""

from __future__ import annotations

import shutil
from typing import Final

from tests.faults.allowed import NO_ANSWER, NO_PRIMARY, fell_back, local_digest, local_tag, refused
from tests.faults.fault import Act, Fault, nothing
from tests.faults.load import CLIENTS, LAYER, name_of
from tests.faults.relay import http_answers
from tests.faults.rig import Rig
from tests.support.registry_client import digest_of


def _kill(part: str) -> Act:
    async def act(rig: Rig) -> None:
        await rig.sandbox.kill(part)

    return act


def _start(part: str) -> Act:
    async def act(rig: Rig) -> None:
        await rig.sandbox.start(part)

    return act


def _stop(part: str) -> Act:
    async def act(rig: Rig) -> None:
        rig.sandbox.pause(part)

    return act


def _continue(part: str) -> Act:
    async def act(rig: Rig) -> None:
        rig.sandbox.resume(part)

    return act


def _secondary_answers(status: int) -> Act:
    async def act(rig: Rig) -> None:
        rig.secondary.become("answering", responder=http_answers(status))

    return act


async def _secondary_slow(rig: Rig) -> None:
    rig.secondary.become("slow", delay=1.0)  # longer than envoy.per_try_timeout


async def _secondary_well(rig: Rig) -> None:
    rig.secondary.become("passing")


async def _primary_answers_503(rig: Rig) -> None:
    rig.primary.become("answering", responder=http_answers(503))


async def _primary_resets(rig: Rig) -> None:
    rig.primary.become("resetting")


async def _primary_well(rig: Rig) -> None:
    rig.primary.become("passing")


async def _collect_garbage(rig: Rig) -> None:
    """The layer is gone from every name, and from the disk."""
    digest = digest_of(LAYER)
    for number in range(CLIENTS):
        rig.sites.secondary.remove_blob(name_of(number), digest)
    root = rig.sandbox.sites.secondary.root
    shutil.rmtree(root / "docker/registry/v2/blobs/sha256" / digest.encoded[:2] / digest.encoded)


async def _replicate_again(rig: Rig) -> None:
    for number in range(CLIENTS):
        rig.sites.secondary.blob(name_of(number), LAYER)


async def _issuer_killed(rig: Rig) -> None:
    rig.sites.issuer_away = True
    await rig.sandbox.kill("auth")


async def _issuer_back(rig: Rig) -> None:
    await rig.sandbox.start("auth")
    rig.sites.issuer_away = False


async def _fresh_envoy(rig: Rig) -> None:
    """Envoy leaves a site alone for longer each time it was ejected; the next fault shall begin as the first did."""
    await rig.sandbox.restart("envoy")


def _secondary(name: str, begin: Act, end: Act, *, ejected: bool = True) -> Fault:
    return Fault(f"secondary {name}", begin, end, felt=(fell_back,), tidy=_fresh_envoy if ejected else nothing)


def _primary(name: str, begin: Act, end: Act) -> Fault:
    return Fault(f"primary {name}", begin, end, felt=(local_tag, local_digest, refused), allowed=NO_PRIMARY)


SITE_FAULTS: Final = (
    _secondary("killed", _kill("secondary"), _start("secondary")),
    _secondary("stopped", _stop("secondary"), _continue("secondary")),
    _secondary("answers 500", _secondary_answers(500), _secondary_well, ejected=False),
    _secondary("answers 503", _secondary_answers(503), _secondary_well),
    _secondary("answers 429", _secondary_answers(429), _secondary_well, ejected=False),
    _secondary("sends headers late", _secondary_slow, _secondary_well),
    Fault("a blob lost to garbage collection", _collect_garbage, _replicate_again, felt=(fell_back,)),
    _primary("killed", _kill("primary"), _start("primary")),
    _primary("answers 503", _primary_answers_503, _primary_well),
    _primary("resets connections", _primary_resets, _primary_well),
    Fault(
        "primary stopped",
        _stop("primary"),
        _continue("primary"),
        felt=(local_tag, local_digest, refused),
        allowed=NO_ANSWER,
        patience=0.5,
    ),
    Fault("issuer killed", _issuer_killed, _issuer_back, felt=(local_tag, local_digest)),
)
