"""grpc.health.v1, without a connection."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2

from extproc.transport.health import Health

_Answer = health_pb2.HealthCheckResponse


def request(service: str = "") -> bytes:
    encoded: bytes = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return encoded


def state(answer: bytes | None) -> str:
    assert answer is not None
    name: str = _Answer.ServingStatus.Name(_Answer.FromString(answer).status)
    return name


def test_check() -> None:
    health = Health()
    assert state(health.check(request())) == "NOT_SERVING"
    for serving, told in ((True, "SERVING"), (False, "NOT_SERVING")):
        health.change(serving=serving)
        assert state(health.check(request())) == told


def test_services_have_no_states_of_their_own() -> None:
    health = Health()
    health.change(serving=True)
    told: list[bytes] = []
    assert health.check(request("other")) is None
    # Watch goes on, for the service may come (health.proto); here it never does.
    assert state(health.watch(request("other"), told.append)) == "SERVICE_UNKNOWN"
    health.change(serving=False)
    assert told == []


def test_watch() -> None:
    health = Health()
    first: list[bytes] = []
    second: list[bytes] = []
    assert state(health.watch(request(), first.append)) == "NOT_SERVING"
    health.change(serving=True)
    assert state(health.watch(request(), second.append)) == "SERVING"
    health.change(serving=False)
    assert [*map(state, first)] == ["SERVING", "NOT_SERVING"]
    assert [*map(state, second)] == ["NOT_SERVING"]


def test_a_state_that_does_not_change_is_not_told_again() -> None:
    health = Health()
    told: list[bytes] = []
    health.change(serving=True)
    health.watch(request(), told.append)
    health.change(serving=True)
    assert told == []


def test_whoever_has_gone_is_told_nothing() -> None:
    health = Health()
    told: list[bytes] = []
    health.unwatch(told.append)
    health.watch(request(), told.append)
    health.unwatch(told.append)
    health.change(serving=True)
    assert told == []


def test_one_may_go_while_all_are_told() -> None:
    health = Health()
    told: list[bytes] = []

    def once(answer: bytes) -> None:
        told.append(answer)
        health.unwatch(once)

    health.watch(request(), once)
    health.watch(request(), told.append)
    health.change(serving=True)
    health.change(serving=False)
    assert len(told) == 3


@pytest.mark.parametrize("wrong", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff"], ids=["no tag", "cut short", "no UTF-8"])
def test_what_is_no_request(wrong: bytes) -> None:
    health = Health()
    with pytest.raises(ValueError, match="no HealthCheckRequest"):
        health.check(wrong)
    with pytest.raises(ValueError, match="no HealthCheckRequest"):
        health.watch(wrong, lambda _: None)
