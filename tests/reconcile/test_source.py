"""Where names come from."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.oci.reference import Name, Tag
from extproc.reconcile.source import Source, SourceInvalid, given, source_of
from extproc.settings import SettingsError
from extproc.settings.reconcile import Reconcile
from tests.reconcile.fake_site import FakeSite

NAMES = [Name("group/one"), Name("group/two"), Name("other/three")]


async def walked(source: Source) -> list[Name]:
    return [name async for name in source.walk()]


def of(primary: FakeSite | None = None, store: MemoryStore | None = None, **settings: Any) -> Source:
    return source_of(Reconcile(**settings), primary or FakeSite(), store or MemoryStore(2.0))


@pytest.fixture
def primary() -> FakeSite:
    site = FakeSite(bulk=True)
    for name in NAMES:
        site.put(name, "content", "v1")
    return site


async def test_the_catalog(primary: FakeSite) -> None:
    source = of(primary)
    assert primary.asked == [], "not before it is walked"
    assert (source.key, source.total, source.complete) == ("catalog", None, True)
    assert await walked(source) == NAMES


async def test_the_names_of_the_store() -> None:
    store = MemoryStore(2.0)
    for name in NAMES:
        await store.decide(name, Tag("v1"))
    source = of(store=store, names="store")
    assert (source.key, sorted(await walked(source))) == ("store", NAMES)


async def test_below_a_path(primary: FakeSite) -> None:
    source = of(primary, names="gitlab", gitlab_path="group")
    assert (source.key, await walked(source)) == ("gitlab group", NAMES[:2])


@pytest.mark.parametrize(
    ("bulk", "path", "remedy"),
    [
        pytest.param(True, "nowhere", "correct reconcile.gitlab_path", id="no such group"),
        pytest.param(False, "group", "use another source of names", id="not GitLab's registry"),
    ],
)
async def test_nothing_below_a_path(primary: FakeSite, bulk: bool, path: str, remedy: str) -> None:
    primary.bulk = bulk
    with pytest.raises(SourceInvalid, match=remedy) as raised:
        await walked(of(primary, names="gitlab", gitlab_path=path))
    assert path in str(raised.value)


@pytest.mark.parametrize("path", ["Group", "a//b", "../x", "a?b", "/"])
async def test_a_path_that_is_none_is_refused_before_it_is_asked(path: str) -> None:
    with pytest.raises(SourceInvalid, match=r"gitlab_path .+ is not the path of a group or project: .+group/project"):
        of(names="gitlab", gitlab_path=path)
    assert of(names="gitlab", gitlab_path="group/").key == "gitlab group/"


async def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "names"
    file.write_text("# ours\ngroup/one\n\n  group/two \r\nother/three")
    source = of(names="file", names_file=file)
    assert (source.total, await walked(source)) == (3, NAMES)
    assert str(file) in source.key


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        pytest.param(
            b"group/one\nGroup/Two\n",
            ["line 2", "'Group/Two'", "group/project/app, in lower"],
            id="not a name",
        ),
        pytest.param(b"group/one:v1\n", ["line 1", "'group/one:v1'"], id="a tag"),
        pytest.param(b"\xff\xfe\n", ["is not text"], id="not text"),
        pytest.param(None, ["No such file", "name another file"], id="not there"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, parts: list[str]) -> None:
    file = tmp_path / "names"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        of(names="file", names_file=file)
    for part in (*parts, str(file)):
        assert part in str(raised.value)


async def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "names"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=("group/one\ngroup/two\n",))
    writing.start()
    source = of(names="file", names_file=pipe)
    writing.join()
    assert source.total == 2
    assert await walked(source) == NAMES[:2]


def test_a_file_without_names(tmp_path: Path) -> None:
    """Nothing compared must not look like a site where all is well."""
    file = tmp_path / "names"
    file.write_text("# none yet\n\n")
    with pytest.raises(SourceInvalid, match="has no name in it: write one on each line"):
        of(names="file", names_file=file)


async def test_names_that_were_given() -> None:
    source = given(NAMES)
    assert (source.total, source.complete, await walked(source)) == (3, False, NAMES)
