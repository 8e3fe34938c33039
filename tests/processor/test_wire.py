"""The generated wire messages: current, and of a package of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor import Descriptor

from extproc.processor import wire_pb2

ROOT = Path(__file__).resolve().parents[2]


def test_committed_code_is_what_the_proto_gives() -> None:
    check = subprocess.run(
        [sys.executable, "protos/generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


def test_check_names_code_that_the_proto_does_not_give(tmp_path: Path) -> None:
    for name in ("protos/generate", "protos/extproc_wire.proto", "extproc/processor/wire_pb2.pyi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    stale = (ROOT / "extproc/processor/wire_pb2.py").read_text().replace("request_body", "request_boby")
    (tmp_path / "extproc/processor/wire_pb2.py").write_text(stale)

    check = subprocess.run(
        [sys.executable, "protos/generate", "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert check.returncode == 1
    assert "extproc/processor/wire_pb2.py is not" in check.stderr
    assert "wire_pb2.pyi" not in check.stderr


def test_every_name_is_in_our_own_package() -> None:
    names = [name for message in wire_pb2.DESCRIPTOR.message_types_by_name.values() for name in _names(message)]
    assert "geo_extproc.wire.ProcessingRequest" in names
    assert [name for name in names if not name.startswith("geo_extproc.wire.")] == []
    assert wire_pb2.DESCRIPTOR.dependencies == []
    assert b"envoy." not in wire_pb2.DESCRIPTOR.serialized_pb


def test_loading_registers_nothing_of_envoy_and_warns_of_nothing() -> None:
    """In a process of its own, where nothing else has filled the pool; -W error for the runtime's version check."""
    script = """
from extproc.processor import codec
from google.protobuf.descriptor_pool import Default
for name in ("envoy.service.ext_proc.v3.ProcessingRequest", "envoy.config.core.v3.Metadata"):
    try:
        Default().FindMessageTypeByName(name)
    except KeyError:
        continue
    raise SystemExit(name)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, check=True)


def _names(message: Descriptor) -> list[str]:
    nested = [name for child in message.nested_types for name in _names(child)]
    return [message.full_name, *(enum.full_name for enum in message.enum_types), *nested]
