"""Of files that change or cannot be written, and of the notifications on their way."""

from __future__ import annotations

from typing import Any, Final

from extproc.sandbox.certificates import signing_pair
from extproc.sandbox.edge import toml
from extproc.sandbox.issuer import SERVICE, Signer
from extproc.sandbox.scope import parse_scopes
from tests.faults.fault import Act, Fault
from tests.faults.load import name_of
from tests.faults.rig import Rig, until
from tests.support.swap import swap


def _broken(told: dict[str, Any]) -> bool:
    return str(told.get("configuration", "")).startswith("broken")


def _well(told: dict[str, Any]) -> bool:
    return told.get("configuration") == "ok"


async def _break_settings(rig: Rig) -> None:
    swap(rig.sandbox.edge.config_file, b"[rollout\nmode = ")
    await rig.until_ready("the configuration is broken", _broken)


async def _mend_settings(rig: Rig) -> None:
    swap(rig.sandbox.edge.config_file, toml(rig.sandbox.edge.settings).encode())
    await rig.until_ready("the configuration is whole", _well)


async def _break_keys(rig: Rig) -> None:
    file = rig.sandbox.sites.signing.certificate
    file.with_suffix(".kept").write_bytes(file.read_bytes())
    swap(file, b"-----BEGIN CERTIFICATE-----\nno key at all\n")
    await rig.until_ready("the keys are broken", _broken)


async def _mend_keys(rig: Rig) -> None:
    file = rig.sandbox.sites.signing.certificate
    swap(file, file.with_suffix(".kept").read_bytes())
    await rig.until_ready("the configuration is whole", _well)


async def _rotate_keys(rig: Rig) -> None:
    """A second key beside the first; its tokens are known as soon as every worker has read it."""
    file = rig.sandbox.sites.signing.certificate
    old = file.read_bytes()
    new = signing_pair(rig.sandbox.workspace.directory, "rotated")
    file.with_suffix(".kept").write_bytes(old)
    swap(file, old + new.certificate.read_bytes())
    await until("every worker knows the new key", lambda: _knows_new_key(rig, True))


async def _rotate_back(rig: Rig) -> None:
    await _mend_keys(rig)
    await until("every worker has forgotten the new key", lambda: _knows_new_key(rig, False))


async def _knows_new_key(rig: Rig, known: bool) -> bool:
    """Whether ten requests in a row say so. The registries, which were told of no new key, refuse them anyway."""
    signer = Signer.load(rig.sandbox.workspace.directory / "rotated.key")
    token = signer.token("reader", SERVICE, parse_scopes([f"repository:{name_of(0)}:pull"]))["token"]
    url = f"{rig.sandbox.edge.registry_url}/v2/{name_of(0)}/tags/list"
    for _ in range(10):
        async with rig.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 401
            if (answer.headers["x-geo-reason"] != "token-unverifiable") is not known:
                return False
    return True


def _notifications(fault: str, on: bool) -> Act:
    async def act(rig: Rig) -> None:
        setattr(rig.notifications, fault, on)

    return act


async def _in_order_again(rig: Rig) -> None:
    await rig.notifications.in_order()


FILE_FAULTS: Final = (
    Fault("settings file broken", _break_settings, _mend_settings),
    Fault("key file broken", _break_keys, _mend_keys),
    Fault("key file with a new key, then without", _rotate_keys, _rotate_back),
    Fault("notifications refused", _notifications("cut", True), _notifications("cut", False)),
    Fault("notifications lost", _notifications("losing", True), _notifications("losing", False)),
    Fault("notifications repeated", _notifications("repeating", True), _notifications("repeating", False),
          trusting_notifications=False),
    Fault("notifications reordered", _notifications("shuffling", True), _in_order_again,
          trusting_notifications=False),
)  # fmt: skip
