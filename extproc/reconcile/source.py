"""Where the names come from: one page of a registry at a time, or one line of a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from extproc.evidence.store import Store
from extproc.oci.reference import Name, ReferenceInvalid
from extproc.reconcile.site import Site
from extproc.registry.error import BulkUnsupported, NameUnknown
from extproc.settings import SettingsError
from extproc.settings.reconcile import Reconcile


class SourceInvalid(SettingsError):
    """The names cannot be read; the message says which and the remedy."""


@dataclass(frozen=True, slots=True)
class Source:
    """A way to walk names. `key` tells one source from another, for people too."""

    key: str
    walk: Callable[[], AsyncIterator[Name]]
    """Raises RegistryError, StoreUnavailable, SourceInvalid."""
    total: int | None = None
    """How many names there are, duplicates included; None where only the walk tells."""
    complete: bool = True
    """It stands for the site, so that its run can be continued, and its summary is kept."""


def source_of(settings: Reconcile, primary: Site, store: Store) -> Source:
    """As the settings say. Raises SourceInvalid for a file that cannot be read, and for what is no path."""
    match settings.names:
        case "catalog":
            return Source("catalog", lambda: _flat(primary.catalog()))
        case "store":
            return Source("store", store.names)
        case "gitlab":
            path = settings.gitlab_path
            check_gitlab_path(path)
            return Source(f"gitlab {path}", lambda: _below(primary, path))
        case "file":
            if settings.names_file is None:
                raise AssertionError("names_file is checked by the settings")
            return from_file(settings.names_file)


def check_gitlab_path(path: str) -> None:
    """Raises SourceInvalid for what no group or project can be at."""
    try:
        Name(path.strip("/"))
    except ReferenceInvalid as error:
        raise SourceInvalid(
            f"reconcile.gitlab_path {path[:300]!r} is not the path of a group or project: write one such as "
            "group/project, in lower case, without host"
        ) from error


def given(names: Sequence[Name]) -> Source:
    """A few names that somebody asked for."""

    return Source("the command line", lambda: _each(names), len(names), complete=False)


def from_file(file: Path) -> Source:
    """One name a line; empty lines and those that begin with # do not count. Raises SourceInvalid."""
    # Once: a pipe has its lines once.
    found = tuple(_read(file))
    if not found:
        raise SourceInvalid(f"{str(file)!r} has no name in it: write one on each line, or use another source")
    return Source(f"file {file}", lambda: _each(found), len(found))


def _read(file: Path) -> Iterator[Name]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = line.strip()
                if text and not text.startswith("#"):
                    yield _name(text, f"line {number} of {str(file)!r}")
    except OSError as error:
        raise SourceInvalid(f"cannot read the names in {str(file)!r}: {error.strerror}; name another file") from error
    except UnicodeDecodeError as error:
        raise SourceInvalid(f"{str(file)!r} is not text: {error}; write one name on each line") from error


def _name(text: str, where: str) -> Name:
    try:
        return Name(text)
    except ReferenceInvalid as error:
        raise SourceInvalid(
            f"{where}: {error}; write one such as group/project/app, in lower case, without host, tag or digest"
        ) from error


async def _each(names: Sequence[Name]) -> AsyncIterator[Name]:
    for name in names:
        yield name


async def _flat(pages: AsyncIterator[Sequence[Name]]) -> AsyncIterator[Name]:
    async for page in pages:
        for name in page:
            yield name


async def _below(primary: Site, path: str) -> AsyncIterator[Name]:
    try:
        async for name in _flat(primary.repositories_below(path)):
            yield name
    except NameUnknown as error:
        raise SourceInvalid(
            f"the primary has no repositories below {path!r}: {error}; correct reconcile.gitlab_path"
        ) from error
    except BulkUnsupported as error:
        raise SourceInvalid(
            f"the primary cannot list what is below {path!r}: {error}; use another source of names"
        ) from error
