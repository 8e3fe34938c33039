"""One event of a registry, read and valid (distribution, "Work with notifications"; GitLab adds `rename`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from extproc.oci.reference import Digest, Name, Tag


class Site(Enum):
    """Whose registry tells."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Action(Enum):
    """What happened, in the registries' own words."""

    PUSH = "push"
    PULL = "pull"
    MOUNT = "mount"
    DELETE = "delete"
    RENAME = "rename"
    """GitLab's: a name and all names below it got another path."""
    OTHER = "other"
    """An action that we do not know: counted, and accepted."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest refers to (`includereferences: true`)."""

    digest: Digest
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; of an OTHER action only `at` is read."""

    action: Action
    name: Name | None = None
    """Of the repository; for RENAME its former path. None for OTHER only."""
    tag: Tag | None = None
    digest: Digest | None = None
    """None also where it is `unkept`."""
    unkept: bool = False
    """The event names a digest of an algorithm that we keep nothing of: no read of it is ever served locally."""
    media_type: str = ""
    """As the registry gives it; a delete has none."""
    references: tuple[Descriptor, ...] = ()
    at: float | None = None
    """When it happened by the registry's clock, seconds since the Unix epoch; None when it does not say."""
    renamed_to: Name | None = None
