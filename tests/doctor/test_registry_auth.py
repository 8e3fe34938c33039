from __future__ import annotations

import pytest

from extproc.doctor.registry_auth import judged
from extproc.settings import Auth
from tests.doctor.replies import peer_of, reply, states

AUTH = Auth.model_construct(realm="https://gitlab.example/jwt/auth", service="container_registry")
CHALLENGE = 'Bearer realm="https://gitlab.example/jwt/auth",service="{}"'


@pytest.mark.parametrize(
    ("status", "challenge", "expected"),
    [
        pytest.param(401, CHALLENGE.format("container_registry"), [], id="good"),
        pytest.param(200, "", ["fault"], id="open"),
        pytest.param(503, "", ["fault"], id="ill"),
        pytest.param(401, "", ["fault"], id="no challenge"),
        pytest.param(401, 'Basic realm="x"', ["fault"], id="another scheme"),
        pytest.param(401, CHALLENGE.format("other"), ["fault"], id="service"),
        pytest.param(401, 'Bearer realm="https://x/",service="container_registry"', ["warning"], id="realm"),
        pytest.param(401, 'Bearer realm="https://x/"', ["fault", "warning"], id="both"),
    ],
)
def test_an_answer_without_a_token(status: int, challenge: str, expected: list[str]) -> None:
    fields = [("WWW-Authenticate", challenge)] if challenge else []
    findings = list(judged("primary", peer_of("http://primary"), reply(status, *fields), AUTH))
    assert [state for _, state in states(findings)] == expected
    assert all(finding.remedy for finding in findings)
