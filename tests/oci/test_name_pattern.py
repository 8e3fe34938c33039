"""Patterns of names: what matches, what is refused, and the same against the rules written down naively."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.oci.name_pattern import NamePattern, PatternInvalid
from extproc.oci.reference import Name


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        pytest.param("group/app", "group/app", "group/app2 group/ap a/group/app group/app/x app", id="a name"),
        pytest.param(
            "group/*", "group/app group/a-b.c", "group group/app/web a/group/app groups/app", id="one level"
        ),
        pytest.param("group/**", "group group/app group/app/web", "groups group2/app a/group", id="a whole group"),
        pytest.param("**", "a a/b a/b/c", "", id="all"),
        pytest.param("*", "a app", "a/b", id="without a slash"),
        pytest.param("*/*", "a/b", "a a/b/c", id="two levels"),
        pytest.param("**/cache", "cache a/cache a/b/cache", "a/cache/b a/cache2 a/mycache", id="by its end"),
        pytest.param("group/*/cache", "group/a/cache", "group/cache group/a/b/cache", id="one level between"),
        pytest.param("group/**/cache", "group/cache group/a/cache group/a/b/cache", "group cache", id="any between"),
        pytest.param("group/team-*", "group/team-a group/team-a-b", "group/team group/team-a/b", id="a beginning"),
        pytest.param("group/*-base", "group/go-base", "group/base group/a/go-base", id="an end"),
        pytest.param("a*b*c", "abc axbxc abbcc", "ab abcd xabc a/b/c", id="several in a segment"),
        pytest.param("**/a/**/b", "a/b x/a/y/b a/a/b/b x/a/a/y/z/b", "a b/a a/b/c", id="several of any"),
        pytest.param("**/a/b/**", "a/b a/a/b x/a/x/a/b/y", "a/x/b b/a", id="a part in the middle"),
        pytest.param("**/**", "a a/b", "", id="any and any"),
        pytest.param("a.b/c", "a.b/c", "axb/c", id="a dot is a dot"),
    ],
)
def test_matches(pattern: str, yes: str, no: str) -> None:
    compiled = NamePattern(pattern)
    assert {name for name in [*yes.split(), *no.split()] if compiled.matches(Name(name))} == set(yes.split())
    assert compiled == pattern


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param("/a", "a slash too many", id="begins with a slash"),
        pytest.param("a/", "a slash too many", id="ends with a slash"),
        pytest.param("a//b", "a slash too many", id="two slashes"),
        pytest.param("Group/*", "lower-case letters", id="upper case"),
        pytest.param("group/?", "of wildcards there are", id="question mark"),
        pytest.param("group/[ab]", "of wildcards there are", id="brackets"),
        pytest.param("!group", "of wildcards there are", id="negation"),
        pytest.param("group/a,b", "of wildcards there are", id="comma"),
        pytest.param("group/é", "lower-case letters", id="not ASCII"),
        pytest.param("a b", "lower-case letters", id="blank"),
        pytest.param("group/a\n", "lower-case letters", id="line end"),
        pytest.param("group**", "put it between slashes", id="stars behind a word"),
        pytest.param("***", "put it between slashes", id="three stars"),
        pytest.param("a" * 256, "give at most 255 characters", id="too long"),
    ],
)
def test_refused(text: str, remedy: str) -> None:
    with pytest.raises(PatternInvalid, match=remedy) as caught:
        NamePattern(text)
    assert repr(text[:20])[:-1] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_threat_no_name_takes_long() -> None:
    # With backtracking, either would not end within the test's time limit.
    wide = NamePattern("*a" * 100 + "b")
    assert not wide.matches(Name("a" * 255))
    deep = NamePattern("**/a/" * 40 + "b")
    assert not deep.matches(Name("/".join("a" * 128)))


patterns = st.lists(st.sampled_from(["**", "*", "a", "b", "a*", "*b", "a*b"]), min_size=1, max_size=5)
names = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=5)


@settings(deadline=None)
@given(patterns, names)
def test_as_the_rules_say(pattern: list[str], name: list[str]) -> None:
    assert NamePattern("/".join(pattern)).matches(Name("/".join(name))) == _segments_match(pattern, name)


def _segments_match(pattern: list[str], name: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_segments_match(pattern[1:], name[taken:]) for taken in range(len(name) + 1))
    return bool(name) and _characters_match(pattern[0], name[0]) and _segments_match(pattern[1:], name[1:])


def _characters_match(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_characters_match(pattern[1:], text[taken:]) for taken in range(len(text) + 1))
    return text[:1] == pattern[0] and _characters_match(pattern[1:], text[1:])
