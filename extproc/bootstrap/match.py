"""What a route matches: paths by regular expression (RE2, without the query), headers, methods."""

from __future__ import annotations

from typing import Final

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher

CHANGE: Final = "/v2/.+/(?:manifests/[^/]+|blobs/[^/]+|tags/reference/[^/]+)"
"""Changes what a name means: manifest, blob and tag. `blobs/uploads/<id>` has one segment more."""

DELETE_BY_DIGEST: Final = "/v2/.+/(?:manifests|blobs)/[^/]*:[^/]*"
"""What a tombstone is for. No tag holds a colon, so whatever has one is a digest, in any algorithm and case; every
other spelling of it is `NOT_CANONICAL` or ends in a slash."""

READ_BY_DIGEST: Final = "/v2/.+/(?:manifests|blobs)/sha(?:256|512):[0-9a-f]+"
"""As we spell it ourselves; fact 21: Envoy allows no longer expression."""

NOT_CANONICAL: Final = r"(?s).*(?:[%;\\]|[^\x21-\x7e]|//|/\.\.?(?:/.*)?$).*"
"""Characters and segments that a registry might read differently. Anywhere: `/%762/` may be `/v2/` to it."""

UPLOAD_START: Final = "/v2/.+/blobs/uploads/"
"""The one write that ends in a slash."""

TRAILING_SLASH: Final = "/v2/(?:.*/)?"
"""Any other a registry may redirect or strip. RE2 has no look-ahead: match `UPLOAD_START` before this."""


def is_value(name: str, value: str) -> HeaderMatcher:
    return HeaderMatcher(name=name, string_match=StringMatcher(exact=value))


def matches(name: str, regex: str) -> HeaderMatcher:
    return HeaderMatcher(name=name, string_match=StringMatcher(safe_regex=RegexMatcher(regex=regex)))


def has_length() -> HeaderMatcher:
    """A body is announced that is not empty."""
    return matches("content-length", "0*[1-9][0-9]*")


def present(name: str) -> HeaderMatcher:
    return HeaderMatcher(name=name, present_match=True)


def absent(name: str) -> HeaderMatcher:
    return HeaderMatcher(name=name, present_match=True, invert_match=True)


def method(*methods: str) -> HeaderMatcher:
    return matches(":method", "|".join(methods))


def is_write() -> HeaderMatcher:
    return method("POST", "PUT", "PATCH", "DELETE")
