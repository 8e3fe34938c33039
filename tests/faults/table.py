"""All faults, in the order in which they are run: what takes workers away comes last."""

from __future__ import annotations

from typing import Final

from tests.faults.client_faults import CLIENT_FAULTS
from tests.faults.file_faults import FILE_FAULTS
from tests.faults.processor_faults import PROCESSOR_FAULTS
from tests.faults.site_faults import SITE_FAULTS
from tests.faults.store_faults import STORE_FAULTS
from tests.faults.telemetry_faults import TELEMETRY_FAULTS

FAULTS: Final = (
    *CLIENT_FAULTS,
    *FILE_FAULTS,
    *TELEMETRY_FAULTS,
    *STORE_FAULTS,
    *SITE_FAULTS,
    *PROCESSOR_FAULTS,
)
