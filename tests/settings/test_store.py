from __future__ import annotations

import pytest
from pydantic import ValidationError

from extproc.settings import Store


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"url": "redis://h", "ca": "c"}, "ca is given but url 'redis://h' has no TLS", id="ca"),
        pytest.param(
            {"url": "redis+cluster://h", "certificate": "c", "private_key": "k"},
            "certificate is given but url 'redis.cluster://h' has no TLS",
            id="certificate",
        ),
        pytest.param({"url": "rediss://h", "certificate": "c"}, "give both or neither", id="no key"),
        pytest.param({"url": "rediss+sentinel://h/m", "private_key": "k"}, "give both or neither", id="only a key"),
        pytest.param({"url": "redis://u@h", "username": "v"}, "url 'redis://h' has a user too", id="two users"),
        pytest.param({"url": "redis://:hunter2@h", "password_file": "f"}, "has a password too", id="two passwords"),
        pytest.param(
            {"url": "redis://h", "sentinel_username": "u"},
            "sentinel_username is given but url 'redis://h' is not redis.sentinel://",
            id="a Sentinel's user",
        ),
        pytest.param(
            {"url": "redis+cluster://h", "sentinel_password_file": "f"},
            "sentinel_password_file is given",
            id="a Sentinel's password",
        ),
    ],
)
def test_what_does_not_go_together(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as wrong:
        Store.model_validate(given)
    assert "hunter2" not in wrong.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"url": "rediss://h", "ca": "c", "certificate": "c", "private_key": "k"}, id="one server"),
        pytest.param({"url": "rediss+cluster://h", "ca": "c", "username": "u", "password_file": "f"}, id="cluster"),
        pytest.param(
            {"url": "redis+sentinel://u@h/m", "sentinel_username": "s", "sentinel_password_file": "f"}, id="Sentinel"
        ),
    ],
)
def test_what_does(given: dict[str, str]) -> None:
    store = Store.model_validate(given)
    assert store.where.hosts


@pytest.mark.parametrize("prefix", ["geo:b", "geo:", ":", "g*", "g?", "g[a]", "g\\", "{g}", "g b", ""])
def test_no_prefix_is_within_the_keys_of_another(prefix: str) -> None:
    """A user's keys are the pattern `~<prefix>:*`."""
    with pytest.raises(ValidationError, match="prefix"):
        Store(prefix=prefix)
