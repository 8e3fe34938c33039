"""The parts as they are built from the settings."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from extproc import settings
from extproc.auth.grant import Grant
from extproc.build import build_policy, build_store, build_verifier
from extproc.evidence.memory import MemoryStore
from extproc.evidence.redis import RedisStore
from extproc.oci.name_pattern import NamePattern
from extproc.routing.policy import Policy
from extproc.routing.rollout import Mode, Rollout
from tests.auth import issuer
from tests.support.loaded import loaded


def test_policy_takes_every_setting(tmp_path: Path) -> None:
    text = (
        'policy = {max_staleness = 1, unknown_digests = "primary", present_recheck = 2, write_timeout = 3, '
        'absent_ttl = 4, serve_stale = "if-primary-down"}\n'
        'sites.role = "primary"\n'
        'rollout = {mode = "observe", include = ["a/**"], exclude = ["a/b", "c"], percentage = 5}'
    )
    policy = build_policy(loaded(tmp_path, text))
    assert policy == Policy(
        max_staleness=1,
        unknown_digests_local=False,
        present_recheck=2,
        write_timeout=3,
        serve_stale=True,
        promoted=True,
        rollout=Rollout(Mode.OBSERVE, (NamePattern("a/**"),), (NamePattern("a/b"), NamePattern("c")), percentage=5),
    )
    assert all(getattr(policy, field.name) != field.default for field in fields(Policy))
    assert all(getattr(policy.rollout, field.name) != field.default for field in fields(Rollout))


def test_policy_defaults_agree(tmp_path: Path) -> None:
    assert build_policy(loaded(tmp_path)) == Policy()
    assert Policy() == Policy(
        max_staleness=settings.Policy().max_staleness,
        present_recheck=settings.Policy().present_recheck,
        write_timeout=settings.Policy().write_timeout,
    )


async def test_stores(tmp_path: Path) -> None:
    memory = build_store(loaded(tmp_path, "store.name_ttl = 5"))
    assert isinstance(memory, MemoryStore)
    assert memory._name_ttl == 5_000_000
    redis = build_store(loaded(tmp_path, 'store.url = "redis://127.0.0.1:1"'))
    assert isinstance(redis, RedisStore)
    await redis.close()


def test_verifier(tmp_path: Path) -> None:
    assert build_verifier(loaded(tmp_path)) is None
    issuer.written(tmp_path / "k.pem", issuer.public_pem("rsa"))
    text = 'auth = {realm = "https://i/", keys = ["k.pem"], issuer = "me", service = "it", leeway = 1}'
    verifier = build_verifier(loaded(tmp_path, text))
    assert verifier is not None
    kid = issuer.verification_key("rsa").ids()[0]
    token = issuer.token(issuer.claims(iss="me", aud="it"), kid=kid)
    assert isinstance(verifier.verify((f"Bearer {token}",), issuer.NOW), Grant)
    assert not isinstance(verifier.verify((f"Bearer {token}",), issuer.NOW + 302), Grant)
