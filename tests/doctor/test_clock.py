from __future__ import annotations

import pytest

from extproc.doctor.clock import Skew, judged, of_date, of_token
from extproc.doctor.finding import State
from tests.auth import issuer
from tests.doctor.replies import reply
from tests.doctor.test_tokens import issued


@pytest.mark.parametrize(
    ("told", "precision", "asked", "answered", "certain"),
    [
        pytest.param(100, 1, 100.0, 100.1, 0, id="the same second"),
        pytest.param(100, 1, 100.9, 101.4, 0, id="cut to the second, and slow"),
        pytest.param(100, 1, 110.0, 110.2, 9.0, id="behind"),
        pytest.param(110, 1, 100.0, 100.2, 9.8, id="ahead"),
        pytest.param(100, 0, 90.0, 110.0, 0, id="slow explains it"),
        pytest.param(107.5, 0, 100.0, 100.0, 7.5, id="exact"),
    ],
)
def test_what_nothing_else_explains(
    told: float, precision: float, asked: float, answered: float, certain: float
) -> None:
    assert Skew.between(told, precision, asked, answered).certain == pytest.approx(certain)


@pytest.mark.parametrize(
    ("seconds", "blur", "leeway", "state"),
    [
        pytest.param(4.9, 0, 60, State.OK, id="little"),
        pytest.param(5.4, 0.5, 60, State.OK, id="may be little"),
        pytest.param(-5.6, 0.5, 60, State.WARNING, id="behind"),
        pytest.param(60.4, 0.5, 60, State.WARNING, id="within the leeway"),
        pytest.param(-61, 0.5, 60, State.FAULT, id="beyond it"),
        pytest.param(3, 0.5, 2, State.FAULT, id="a short leeway"),
    ],
)
def test_judged(seconds: float, blur: float, leeway: float, state: State) -> None:
    found = judged("primary", Skew(seconds, blur), leeway)
    assert found.state is state
    if state is not State.OK:
        assert ("ahead of" if seconds > 0 else "behind") in found.text
        assert found.remedy


def test_the_date_of_an_answer() -> None:
    date = ("Date", "Thu, 01 Jan 1970 00:01:40 GMT")
    skew = of_date(reply(401, date, asked=90.0, answered=90.0))
    assert skew == Skew(10.5, 0.5)
    assert of_date(reply(200)) is None
    assert of_date(reply(200, ("Date", "tomorrow"))) is None


def test_when_a_token_was_made() -> None:
    token = issuer.token(issuer.claims(iat=1000))
    assert of_token(issued(token, asked=1000.0, answered=1000.0)) == Skew(0.5, 0.5)
    assert of_token(issued(token, fresh=False)) is None
    for iat in (None, "1000", True):
        assert of_token(issued(issuer.token(issuer.claims(iat=iat)))) is None
