"""For every test: nothing process-wide outlives it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _log_of_the_test_alone() -> Iterator[None]:
    """What a test configures writes to standard error as pytest had it then, which is closed afterwards."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
