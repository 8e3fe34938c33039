"""What hypothesis may choose from. What comes first is what it shrinks to; what is listed often comes often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from extproc.oci.name_pattern import NamePattern
from extproc.oci.reference import Name
from extproc.routing.rollout import SERVE, Mode, Rollout
from tests.model.content import (
    APP,
    CHILD,
    CLIENTS,
    DIGESTS,
    INDEX,
    NAMES,
    OLD_READER,
    ONE,
    ONE_AS_BLOB,
    READER,
    TWO,
    V1,
    V2,
)
from tests.model.exchange import Change, Phase
from tests.model.site import WORKERS
from tests.model.world import Reference

T = TypeVar("T")

names = st.sampled_from([APP, APP, APP, APP, *NAMES])
references: st.SearchStrategy[Reference] = st.sampled_from(
    [V1, V1, V1, V1, V2, ONE.digest, ONE.digest, *DIGESTS, ONE_AS_BLOB, ONE_AS_BLOB]
)
readers = st.sampled_from([READER, READER, READER, READER, OLD_READER, *CLIENTS.values()])
tags = st.sampled_from([V1, V1, V1, V2])
workers = st.sampled_from(WORKERS)
ROLLOUTS: tuple[Rollout, ...] = (
    Rollout(Mode.OBSERVE),
    Rollout(Mode.PRIMARY_ONLY),
    Rollout(exclude=(NamePattern(APP),)),
)
"""Of those that do not serve all; a calm brings all back to it, and a start one worker."""
edges = st.sampled_from([*WORKERS, *WORKERS, ""])
"""Which worker Envoy asks; sometimes none can be asked."""
indexes = st.integers(0, 5)
untils = st.sampled_from([Phase.DONE, Phase.DONE, Phase.FORWARDED, Phase.ANSWERED, Phase.OBSERVING, None])
"""The phase to reach; None: one step."""
pauses = st.sampled_from([3.0, 15.0, 26.0, 45.0, 59.0, 61.0, 1001.0])
"""Seconds around the limits: what is absent 2, a mark 25, a lease 60, a name 1,000."""

_contents = (TWO.digest, ONE.digest, INDEX.digest, CHILD.digest)
changes = st.sampled_from(
    [
        *(Change("PUT", tag, content) for content in _contents for tag in (V1, V1, V1, V2)),
        *(Change("PUT", V1, content, told_first=True) for content in _contents),
        *(Change("PUT", content, content) for content in _contents),
        *(Change("PUT", content, content, tag=V1) for content in _contents),
        *(Change("DELETE", tag) for tag in (V1, V1, V1, V2)),
        *(Change("DELETE", digest) for digest in (ONE.digest, TWO.digest, *DIGESTS)),
        Change("DELETE", ONE_AS_BLOB),
        Change("DELETE", V1, refused=True),
        Change("DELETE", ONE.digest, refused=True),
    ]
)


def _weighed(weights: Mapping[str, int]) -> st.SearchStrategy[str]:
    return st.sampled_from([each for each, times in weights.items() for _ in range(times)])


_race_mishaps = _weighed(
    {
        "Envoy gives up on the write": 3,
        "the writer dies": 2,
        "the client of the write goes away": 1,
        "a call of the write fails": 1,
        "the copy of the write comes": 1,
        "the write is told": 1,
        "another write elsewhere": 1,
        "another write elsewhere, a minute before the rest": 1,
        "the store loses the name": 2,
        "moments pass": 1,
        "a minute passes": 3,
    }
)


@dataclass(frozen=True, slots=True)
class Race:
    """A read and a write of the same thing meet."""

    unknown: bool
    """The store has lost all of the name before."""
    name: Name
    change: Change
    asks: int
    """What the read asks for: what the write names, the first tag, or what the write brings."""
    edge: str
    """Who has the write; the read is at the first worker."""
    turns: tuple[bool, ...]
    """Whose turn it is: the write's (True) or the read's."""
    mishaps: tuple[tuple[int, str], ...]
    """What else happens, and before which turn."""
    then: float
    """Seconds that pass after it."""
    rollout: Rollout
    """Which the write's worker goes by until then."""


races = st.builds(
    Race,
    st.sampled_from([False, False, False, True]),
    names,
    changes,
    st.integers(0, 2),
    edges,
    st.tuples(*[st.booleans()] * 14),
    st.lists(st.tuples(st.integers(1, 10), _race_mishaps), min_size=1, max_size=2).map(tuple),
    st.sampled_from([0.0, 0.0, 0.0, 3.0, 45.0]),
    st.sampled_from([*[SERVE] * 9, *ROLLOUTS]),
)
kinds = _weighed(
    {
        "calm": 4,
        "moments pass": 2,
        "worker 1 dies": 1,
        "worker 2 dies": 1,
        "Envoy gives up": 1,
        "a client goes away": 1,
        "a call fails": 1,
        "a late call arrives": 1,
        "a stray write arrives": 1,
        "the store is out of reach, or back": 2,
        "the store's replica is as it is": 2,
        "the store fails over": 2,
        "the store restarts": 1,
        "the store loses a name": 1,
        "the store is emptied": 1,
        "the secondary is down, or back": 1,
        "a name is renamed": 1,
        "all our processes die": 1,
        "a worker goes by another rollout": 1,
    }
)
"""Some can happen to some stores only."""


def pick(choices: Sequence[T], index: int) -> T:
    return choices[index % len(choices)]


def if_any(of: Callable[[Any], object]) -> Callable[[Any], Any]:
    """The rule needs something to act on."""
    return precondition(lambda machine: bool(of(machine)))
