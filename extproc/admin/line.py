"""A JSON answer for people at a terminal too: one line, ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def line(document: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(text=json.dumps(document) + "\n", status=status, headers=headers)
