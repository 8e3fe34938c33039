"""`explain`."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from extproc.build import build_store
from extproc.evidence.model import Observation
from extproc.evidence.redis import RedisStore
from extproc.oci.reference import Digest, Name, Tag
from extproc.settings import Settings
from tests.auth import issuer
from tests.cli.running import Run, one_sentence, with_store
from tests.support.heads import INDEX
from tests.support.ports import free_port
from tests.support.program import SITES
from tests.support.redis_server import RedisServer

DIGEST = Digest("sha256:" + "a" * 64)


def token(**changes: Any) -> str:
    now = time.time()
    claims = issuer.claims(iat=now, nbf=now, exp=now + 300, **changes)
    return issuer.token(claims, kid=issuer.verification_key("rsa").ids()[0])


def test_text(run: Run, config: Path) -> None:
    ran = run("explain", "-c", config, "registry.example.com/g/app:v1")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "operation  GET manifest v1 of g/app"
    assert lines[-2] == "reason     tag-unverified"
    assert lines[-1].startswith("note       memory:// lives inside the serving process")


def test_json(run: Run, config: Path) -> None:
    ran = run("explain", "-c", config, "-o", "json", "get", "/v2/g/app/manifests/v1?ns=x")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert list(document) == ["operation", "grant", "evidence", "decision", "reason"]
    assert document["operation"]["method"] == "GET"
    assert document["grant"] == {"status": "assumed", "access": ["repository:g/app:pull"]}


def test_an_empty_token_is_no_token(run: Run, config: Path) -> None:
    document = json.loads(run("explain", "-c", config, "-o", "json", "--token", "", "a/b").out)
    assert document["reason"] == "token-missing"


def test_a_token_and_none_exclude_each_other(run: Run, config: Path) -> None:
    one_sentence(run("explain", "-c", config, "--token", "x", "--anonymous", "a/b"), 2, "--token", "--anonymous")


def test_anonymous(run: Run, config: Path) -> None:
    document = json.loads(run("explain", "-c", config, "-o", "json", "--anonymous", "a/b").out)
    assert document["reason"] == "token-missing"
    assert document["decision"] == {"answer": 401, "asks_for": ["repository:a/b:pull"]}


@pytest.mark.parametrize(("reference", "reason"), [("a/b", "tag-unverified"), ("a/c", "scope-insufficient")])
def test_token(run: Run, config: Path, reference: str, reason: str) -> None:
    secret = token()
    ran = run("explain", "-c", config, "-o", "json", "--token", secret, reference)
    document = json.loads(ran.out)
    assert (document["reason"], document["grant"]["status"]) == (reason, "verified")
    assert secret not in ran.out


def test_token_from_standard_input(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(token() + "\n"))
    document = json.loads(run("explain", "-c", config, "-o", "json", "--token", "-", "a/b").out)
    assert document["grant"]["status"] == "verified"


def test_no_token_after_all(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty standard input is no token, not a licence to assume one."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    document = json.loads(run("explain", "-c", config, "-o", "json", "--token", "-", "a/b").out)
    assert document["reason"] == "token-missing"


@pytest.mark.parametrize("extra", [(), ("--anonymous",)])
def test_passthrough(run: Run, config: Path, extra: tuple[str, ...]) -> None:
    config.write_text('auth.mode = "passthrough"\n' + SITES)
    document = json.loads(run("explain", "-c", config, "-o", "json", *extra, "a/b").out)
    assert (document["grant"]["status"], document["reason"]) == ("passthrough", "tag-unverified")


async def learn(config: Path) -> None:
    store = build_store(Settings.load(config))
    assert isinstance(store, RedisStore)
    name, tag = Name("a/b"), Tag("latest")
    snapshot = (await store.decide(name, tag)).snapshot
    assert await store.learn(name, snapshot, Observation(DIGEST, tag=tag, media_type=INDEX, primary_has=True))
    await store.close()


def test_evidence_of_the_serving_processes(run: Run, config: Path, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        asyncio.run(learn(with_store(config, redis.url)))
        document = json.loads(run("explain", "-c", config, "-o", "json", "a/b").out)
    assert (document["reason"], document["decision"]["pinned_to"]) == ("tag-verified", DIGEST)


def test_store_away(run: Run, config: Path) -> None:
    with_store(config, f"redis://127.0.0.1:{free_port()}")
    ran = run("explain", "-c", config, "-o", "json", "a/b")
    assert ran.code == 0
    assert json.loads(ran.out)["reason"] == "evidence-unavailable"


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        pytest.param(("G/app",), "'G/app'", id="name"),
        pytest.param(("a/b:.x",), "'.x'", id="tag"),
        pytest.param(("a/b@sha256:1",), "'sha256:1'", id="digest"),
        pytest.param(("docker://h.example/G/app:v1",), "lower case, such as 'g/app'", id="upper case"),
        pytest.param(("GET", "a/b"), "'GET a/b' is neither", id="no path"),
        pytest.param(("GET", "/v2/", "x"), "'GET /v2/ x' is neither", id="too much"),
    ],
)
def test_bad_request(run: Run, config: Path, request_: tuple[str, ...], part: str) -> None:
    one_sentence(run("explain", "-c", config, *request_), 2, part)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("docker://registry.example.com/g/app:v1", id="as skopeo writes it"),
        pytest.param("/v2/g/app/manifests/v1", id="a path alone"),
    ],
)
def test_other_spellings_of_a_read(run: Run, config: Path, given: str) -> None:
    lines = run("explain", "-c", config, given).out.splitlines()
    assert lines[:3:2] == ["operation  GET manifest v1 of g/app", "evidence   no lease of this tag"]


def test_an_upper_case_name_in_a_path(run: Run, config: Path) -> None:
    ran = run("explain", "-c", config, "/v2/G/app/manifests/v1")
    assert ran.out.splitlines()[-2:] == [
        "reason     unknown-operation",
        "note       names are in lower case: no registry has one with capital letters",
    ]


def test_the_issuer_is_past_the_processor(run: Run, config: Path) -> None:
    path = "/jwt/auth?service=container_registry"
    assert json.loads(run("explain", "-c", config, "-o", "json", path).out)["reason"] == "unknown-operation"
    config.write_text(config.read_text() + 'sites.issuer.url = "http://127.0.0.1:3"\n')
    document = json.loads(run("explain", "-c", config, "-o", "json", path).out)
    assert (document["reason"], document["decision"]["route"]) == (None, "issuer")
    assert "past the processor" in run("explain", "-c", config, "post", path).out
    assert json.loads(run("explain", "-c", config, "-o", "json", "/jwt/auth/").out)["reason"] == "unknown-operation"
