"""The memory of verified tokens."""

from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from extproc.auth.cache import GrantCache
from extproc.auth.grant import Grant


def grant(expires_at: float = 100.0, subject: str = "") -> Grant:
    return Grant(frozenset(), expires_at, subject)


def test_returns_what_was_put() -> None:
    cache = GrantCache(2)
    kept = grant()
    cache.put("t", kept, 0)
    assert cache.get("t", 99.9) is kept
    assert cache.get("u", 0) is None


def test_an_entry_never_outlives_exp() -> None:
    cache = GrantCache(2)
    cache.put("t", grant(100), 0)
    assert cache.get("t", 100) is None
    assert len(cache) == 0
    # Also not when the clock is set back afterwards.
    assert cache.get("t", 0) is None


def test_a_grant_within_the_leeway_is_not_kept() -> None:
    cache = GrantCache(2)
    cache.put("t", grant(100), 100)
    assert len(cache) == 0


def test_the_least_recently_used_makes_room() -> None:
    cache = GrantCache(2)
    cache.put("a", grant(), 0)
    cache.put("b", grant(), 0)
    assert cache.get("a", 0) is not None
    cache.put("c", grant(), 0)
    assert [cache.get(token, 0) is not None for token in "abc"] == [True, False, True]


def test_putting_again_renews() -> None:
    cache = GrantCache(2)
    for token in "aba":
        cache.put(token, grant(), 0)
    cache.put("c", grant(), 0)
    assert [cache.get(token, 0) is not None for token in "abc"] == [True, False, True]


def test_clear_forgets_all() -> None:
    cache = GrantCache(2)
    cache.put("a", grant(), 0)
    cache.clear()
    assert cache.get("a", 0) is None


def test_threat_no_token_is_kept() -> None:
    cache = GrantCache(2)
    secret = "".join(("eyJ", "secret"))
    cache.put(secret, grant(), 0)
    reachable = gc.get_referents(cache, *gc.get_referents(cache))
    assert secret not in reachable
    assert secret.encode() not in reachable
    assert any(isinstance(item, bytes) and len(item) == 32 for item in reachable)
    assert secret not in repr(cache)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(0, 20), st.booleans())),
)
def test_bounded_and_never_stale(size: int, steps: list[tuple[str, int, int, bool]]) -> None:
    cache = GrantCache(size)
    for token, now, lifetime, puts in steps:
        if puts:
            cache.put(token, grant(now + lifetime, token), now)
        found = cache.get(token, now)
        assert found is None or (found.subject == token and now < found.expires_at)
        assert found is not None or not (puts and lifetime)
        assert len(cache) <= size
