"""What is wrong with the configuration, in one sentence of ours: the place, the value and the remedy."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from extproc.settings.section import public_url

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOML_CHARACTER: Final = re.compile(r"\('([^']*)',\)")
"""How tomllib writes a key of one part."""

_WORDS: Final = {
    "greater_than": "is too small: give more than {gt}",
    "greater_than_equal": "is too small: give {ge} or more",
    "less_than": "is too large: give less than {lt}",
    "less_than_equal": "is too large: give {le} or less",
    "finite_number": "is not a finite number",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "string_type": "is not text: write it in quotes",
    "path_type": "is not a path: write it in quotes",
    "string_pattern_mismatch": "does not match {pattern}",
    "literal_error": "is not {expected}",
    "tuple_type": "is not a list: write it in square brackets",
    "model_type": "is not a table",
    "model_attributes_type": "is not a table",
    "dict_type": "is not a table",
}
"""pydantic's types of error, and what its context gives."""


def explain_toml(error: tomllib.TOMLDecodeError | UnicodeDecodeError, file: Path) -> str:
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return (
            f"the configuration {str(file)!r} is not TOML: byte {error.start + 1} is 0x{byte:02x}, which is not "
            "UTF-8; save it as UTF-8"
        )
    text = _TOML_CHARACTER.sub(r"'\1'", str(error))
    at = _POSITION.search(text)
    what = _POSITION.sub("", text)
    what = what[:1].lower() + what[1:]
    if at is None or at[1] is None:
        return f"the configuration {str(file)!r} is not TOML: {what} at its end; complete it"
    return (
        f"the configuration {str(file)!r} is not TOML: line {at[1]}, column {at[2]}: {what}; correct that line "
        "(text and paths are written in quotes)"
    )


def explain_settings(error: ValidationError, file: Path) -> str:
    """The first finding in words, and how many more there are."""
    first, *more = error.errors()
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    rest = f" ({len(more)} more)" if more else ""
    return f"{where} in {str(file)!r} (or the environment){_finding(first)}{rest}"


def _finding(found: Any) -> str:
    kind, value, message = found["type"], found["input"], str(found["msg"])
    if kind == "missing":
        return " is required but not set"
    if kind == "extra_forbidden":
        return " is not a setting; check its spelling or remove it"
    if kind == "value_error":
        # Ours, which names the value itself, without its password.
        return ": " + message.removeprefix("Value error, ")
    limits = {
        name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in found.get("ctx", {}).items()
    }
    words = _WORDS[kind].format(**limits) if kind in _WORDS else f"cannot be used: {message}"
    if isinstance(value, str):
        return f": {_shown(value)!r} {words}"
    if isinstance(value, int | float):
        return f": {value!r} {words}"
    return f": the value {words}"


def _shown(value: str) -> str:
    """Without what may be a password: any text may be a URL that stands in the wrong place."""
    return public_url(value) if "@" in value else value
