"""Files that change, are swapped, vanish, and are being written."""

from __future__ import annotations

import os
from pathlib import Path

from extproc.live.watch import Watch


def rewritten(file: Path, text: str) -> None:
    """With another time of change, however coarse the file system's clock is."""
    before = file.stat().st_mtime_ns
    file.write_text(text)
    os.utime(file, ns=(before + 1_000_000_000, before + 1_000_000_000))


def looks(watch: Watch, file: Path, number: int = 3) -> list[bool]:
    return [watch.changed([file]) for _ in range(number)]


def test_a_change_is_said_once_it_has_come_to_rest_and_once(tmp_path: Path) -> None:
    (file := tmp_path / "a").write_text("1")
    watch = Watch([file])
    assert looks(watch, file) == [False] * 3
    rewritten(file, "2")
    assert looks(watch, file, 4) == [False, True, False, False]


def test_a_file_that_goes_on_changing_waits(tmp_path: Path) -> None:
    (file := tmp_path / "a").write_text("1")
    watch = Watch([file])
    said = []
    for text in "2345":
        rewritten(file, text)
        said.append(watch.changed([file]))
    assert said == [False] * 4
    assert watch.changed([file])


def test_a_link_swapped_above_it_as_kubernetes_does(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "geo.toml").write_text("same size")
        os.utime(tmp_path / version / "geo.toml", ns=(0, 0))
    (tmp_path / "..data").symlink_to("v1")
    (file := tmp_path / "geo.toml").symlink_to("..data/geo.toml")
    watch = Watch([file])
    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert looks(watch, file) == [False, True, False]


def test_a_file_that_vanishes_and_one_that_appears(tmp_path: Path) -> None:
    (file := tmp_path / "a").write_text("1")
    watch = Watch([file])
    file.unlink()
    assert looks(watch, file) == [False, True, False]
    file.write_text("2")
    assert looks(watch, file) == [False, True, False]


def test_other_files_than_before(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.touch()
    two.touch()
    watch = Watch([one])
    assert [watch.changed([one, two]) for _ in range(3)] == [False, True, False]


def test_what_cannot_be_a_path_is_not_there(tmp_path: Path) -> None:
    (file := tmp_path / "a").touch()
    watch = Watch([file])
    assert [watch.changed([file, Path("a\0b")]) for _ in range(3)] == [False, True, False]
