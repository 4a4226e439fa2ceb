from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelwright.judge import builds


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "KEPT", 2)
    names = [f"{number:024x}" for number in range(4)]
    for age, name in enumerate([*names, "headers-a", "headers-b", "headers-c", "torch-compile"]):
        (tmp_path / name / "inside").mkdir(parents=True)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    (tmp_path / "relative_errors.so").touch()
    for name in (f"{names[0]}.json", f"{names[1]}.json", f"{names[2]}-abc.json"):
        (tmp_path / name).touch()
    builds.use(tmp_path / names[0])
    builds.trim(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        names[0],
        names[3],
        "headers-b",
        "headers-c",
        "torch-compile",
        "relative_errors.so",
        f"{names[0]}.json",
    }


def test_what_a_killed_process_left_goes_when_nobody_can_need_it(tmp_path: Path) -> None:
    for name in ("held-out-old", "held-out-new"):
        (tmp_path / name / "inside").mkdir(parents=True)
    os.utime(tmp_path / "held-out-old", (1000, 1000))
    builds.trim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["held-out-new"]
