"""Which names a rollout lets in: patterns, and a share by a hash that never changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.oci.name_pattern import NamePattern
from extproc.oci.reference import Name
from extproc.routing.reason import Reason
from extproc.routing.rollout import Mode, Rollout, place_of

MANY = [Name(f"group-{number % 7}/app-{number}") for number in range(20_000)]
percentages = st.floats(0, 100)
names = st.from_regex(r"[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}", fullmatch=True).map(Name)


def patterns(*texts: str) -> tuple[NamePattern, ...]:
    return tuple(map(NamePattern, texts))


@pytest.mark.parametrize(
    ("rollout", "name", "reason"),
    [
        pytest.param(Rollout(), "g/app", None, id="all"),
        pytest.param(Rollout(include=patterns("g/*")), "g/app", None, id="included"),
        pytest.param(Rollout(include=patterns("h/*", "g/*")), "g/app", None, id="included by the second"),
        pytest.param(Rollout(include=patterns("h/*")), "g/app", Reason.NAME_EXCLUDED, id="not included"),
        pytest.param(Rollout(exclude=patterns("g/app")), "g/app", Reason.NAME_EXCLUDED, id="excluded"),
        pytest.param(Rollout(exclude=patterns("g/app")), "g/app2", None, id="another excluded"),
        pytest.param(
            Rollout(include=patterns("g/**"), exclude=patterns("g/app")),
            "g/app",
            Reason.NAME_EXCLUDED,
            id="both: exclude wins",
        ),
        pytest.param(Rollout(percentage=0), "g/app", Reason.PERCENTAGE_EXCLUDED, id="none of a hundred"),
        pytest.param(
            Rollout(exclude=patterns("g/app"), percentage=0), "g/app", Reason.NAME_EXCLUDED, id="the name comes first"
        ),
        pytest.param(Rollout(Mode.OBSERVE), "g/app", None, id="observe"),
        pytest.param(Rollout(Mode.OBSERVE, percentage=0), "g/app", Reason.PERCENTAGE_EXCLUDED, id="observe, none"),
        pytest.param(Rollout(Mode.PRIMARY_ONLY), "g/app", Reason.MODE_PRIMARY_ONLY, id="primary-only"),
        pytest.param(
            Rollout(Mode.PRIMARY_ONLY, exclude=patterns("g/app")),
            "g/app",
            Reason.MODE_PRIMARY_ONLY,
            id="primary-only, excluded",
        ),
    ],
)
def test_withholds(rollout: Rollout, name: str, reason: Reason | None) -> None:
    assert rollout.withholds(Name(name)) is reason


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(Mode.SERVE, None), (Mode.OBSERVE, None), (Mode.PRIMARY_ONLY, Reason.MODE_PRIMARY_ONLY)],
)
def test_without_a_name_only_the_mode_counts(mode: Mode, reason: Reason | None) -> None:
    assert Rollout(mode, include=patterns("x"), percentage=0).withholds(None) is reason


@pytest.mark.parametrize(
    ("name", "place"),
    [("a", 26.26), ("group/app", 26.14), ("gitlab-org/build/cng/gitlab-webservice-ee", 99.63)],
)
def test_a_name_keeps_its_place_in_every_version(name: str, place: float) -> None:
    assert place_of(Name(name)) == pytest.approx(place, abs=0.01)


@settings(deadline=None)
@given(names, percentages, percentages)
def test_raising_it_only_adds_names(name: Name, one: float, other: float) -> None:
    low, high = sorted([one, other])
    if Rollout(percentage=low).withholds(name) is None:
        assert Rollout(percentage=high).withholds(name) is None


@settings(deadline=None)
@given(names)
def test_nothing_and_all_are_exact(name: Name) -> None:
    assert Rollout(percentage=0).withholds(name) is Reason.PERCENTAGE_EXCLUDED
    assert Rollout(percentage=100).withholds(name) is None
    assert 0 <= place_of(name) < 100


@pytest.mark.parametrize("percentage", [1, 10, 33.3, 50, 90])
def test_the_share_of_many_names_is_close(percentage: float) -> None:
    share = sum(Rollout(percentage=percentage).withholds(name) is None for name in MANY) * 100 / len(MANY)
    assert share == pytest.approx(percentage, abs=1.5)


@pytest.mark.parametrize("percentage", [-0.1, 100.1, float("nan")])
def test_a_percentage_is_within_its_bounds(percentage: float) -> None:
    with pytest.raises(ValueError, match="not within 0 to 100"):
        Rollout(percentage=percentage)
