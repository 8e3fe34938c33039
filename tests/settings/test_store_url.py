from __future__ import annotations

import pytest

from extproc.settings.section import Endpoint
from extproc.settings.store_url import Kind, StoreUrl


def at(host: str, port: int) -> Endpoint:
    return Endpoint(host=host, port=port)


SINGLE, SENTINEL, CLUSTER = Kind.SINGLE, Kind.SENTINEL, Kind.CLUSTER
H, G = at("h", 6379), at("g", 7)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("memory://", StoreUrl(Kind.MEMORY)),
        ("redis://h", StoreUrl(SINGLE, hosts=(H,))),
        ("redis://h/", StoreUrl(SINGLE, hosts=(H,))),
        ("redis://h:6379/3", StoreUrl(SINGLE, hosts=(H,), db=3)),
        ("redis://h?db=3", StoreUrl(SINGLE, hosts=(H,), db=3)),
        ("rediss://[::1]", StoreUrl(SINGLE, tls=True, hosts=(at("::1", 6379),))),
        ("redis://[::1]:7", StoreUrl(SINGLE, hosts=(at("::1", 7),))),
        ("redis://u@h", StoreUrl(SINGLE, hosts=(H,), username="u")),
        ("redis://:p@h", StoreUrl(SINGLE, hosts=(H,), password="p")),
        ("redis://u:p%40%2F%3F:@h", StoreUrl(SINGLE, hosts=(H,), username="u", password="p@/?:")),
        ("redis://u:p@ss@h", StoreUrl(SINGLE, hosts=(H,), username="u", password="p@ss")),
        ("redis://u:p/#s@h/1", StoreUrl(SINGLE, hosts=(H,), db=1, username="u", password="p/#s")),
        ("unix:///run/redis.sock", StoreUrl(SINGLE, path="/run/redis.sock")),
        ("unix:///run/a%20b?db=2", StoreUrl(SINGLE, path="/run/a b", db=2)),
        ("unix://u:p@/run/s", StoreUrl(SINGLE, path="/run/s", username="u", password="p")),
        ("redis+sentinel://h,g:7/m", StoreUrl(SENTINEL, hosts=(at("h", 26379), G), master="m")),
        ("redis+sentinel://u:p@h/m.y-1/2", StoreUrl(SENTINEL, False, (at("h", 26379),), "", 2, "m.y-1", "u", "p")),
        ("rediss+sentinel://h/m/", StoreUrl(SENTINEL, tls=True, hosts=(at("h", 26379),), master="m")),
        ("redis+cluster://h,g:7", StoreUrl(CLUSTER, hosts=(H, G))),
        ("redis+cluster://h/0", StoreUrl(CLUSTER, hosts=(H,))),
        ("rediss+cluster://u:p@h", StoreUrl(CLUSTER, tls=True, hosts=(H,), username="u", password="p")),
    ],
)
def test_parts(url: str, parts: StoreUrl) -> None:
    assert StoreUrl.parse(url) == parts


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", "url 'http://h' is not memory://, redis://"),
        ("redis:h", "is not memory://"),
        ("REDIS://h", "is not memory://"),
        ("memory://x", "url 'memory://x': nothing may follow memory://"),
        ("redis://", "url 'redis://': a host is missing"),
        ("redis://:6379", "a host is missing"),
        ("redis+cluster://h,,g", "a host is missing"),
        ("redis://h:port", "'h:port' is not host:port"),
        ("redis://h:0", "a port is 1 to 65535"),
        ("redis://h h", "'h h' is not a host"),
        ("redis://::1", "a host is missing"),
        ("redis://h,g", "several hosts are for redis.sentinel:// or redis.cluster://"),
        ("redis://h/zz", "url 'redis://h/zz': database 'zz' is not a number from 0 on"),
        ("redis://h/-1", "database '-1' is not a number"),
        ("redis://h/٣", "is not a number"),
        ("redis://h/99999999999999", "is not a number"),
        ("redis://h/0/1", "ends with more than a database: '0/1'"),
        ("redis://h/1?db=1", "ends with more than a database"),
        ("redis://h?socket_timeout=1", "option 'socket_timeout' is not known"),
        ("redis://h?db=1&db=2", "option 'db' is not known; the only one is db, once"),
        ("redis://h?db", "a word without '='"),
        ("unix://run/redis.sock", "begins with '/'"),
        ("unix:///s?db=x", "database 'x'"),
        ("redis+sentinel://h", "the master's name is missing"),
        ("redis+sentinel://h/", "the master's name is missing"),
        ("redis+sentinel://h/m m", "the master's name is missing"),
        ("redis+sentinel://h/m/x", "database 'x' is not a number"),
        ("redis+cluster://h/1", "a cluster has database 0 only, not 1"),
    ],
)
def test_what_cannot_be_used_is_named(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StoreUrl.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@h/zz",
        "redis://user:hunter2@h?x=1",
        "redis://user:hun@hunter2@h:x",
        "redis://user:hunter2/hunter2@h/x",
        "redis://user:hunter2?hunter2@h",
        "redis://h?hunter2",
        "redis://h?password=hunter2",
        "redis+cluster://user:hunter2@h,g:x",
        "http://user:hunter2@h",
    ],
)
def test_threat_no_message_shows_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="url ") as wrong:
        StoreUrl.parse(url)
    assert "hunter2" not in str(wrong.value)
    assert "user" not in str(wrong.value).replace("a user or password", "")


def test_threat_nor_does_its_text() -> None:
    assert "hunter2" not in repr(StoreUrl.parse("redis://user:hunter2@h"))
