"""What the targets keep between inputs ends with the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz import admin
from tests.fuzz.loop import LOOP


@pytest.fixture(autouse=True, scope="package")
def _targets_end() -> Iterator[None]:
    yield
    admin.stop()
    LOOP.close()
