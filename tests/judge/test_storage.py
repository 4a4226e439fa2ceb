"""What the judge keeps of large tensors lies where the system can take its memory back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernelwright.judge import storage

FULL = """
import numpy as np
from kernelwright.judge import storage
held = [storage.room((storage.LARGE,), np.uint8) for _ in range(4)]
for number, array in enumerate(held):
    array[:] = number
assert [int(array[-1]) for array in held] == [0, 1, 2, 3]
files = [line for line in open("/proc/self/maps") if line.endswith("(deleted)\\n")]
print(len(files))
"""


def nameless_files() -> int:
    return sum("(deleted)" in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("dtype", ["float32", "uint16", "complex128", "bool"])
def test_a_large_array_lies_in_a_file_without_a_name_and_goes_with_it(own_home: Path, dtype: str) -> None:
    before = nameless_files()
    array = storage.room((storage.LARGE // np.dtype(dtype).itemsize, 1), dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.shape == (storage.LARGE // np.dtype(dtype).itemsize, 1)
    array[...] = 1
    assert nameless_files() == before + 1
    assert list(own_home.iterdir()) == []
    view = array[::2]
    del array
    assert view.all()
    del view
    assert nameless_files() == before


def test_no_descriptor_is_left_behind(own_home: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        storage.room((storage.LARGE,), np.uint8)[:] = 1
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("shape", [(), (0,), (0, 1 << 30), (3, 5), (storage.LARGE // 4 - 1,)])
def test_a_small_one_does_not(own_home: Path, shape: tuple[int, ...]) -> None:
    before = nameless_files()
    assert storage.room(shape, np.float32).shape == shape
    assert nameless_files() == before


def test_a_disk_that_is_nearly_full_is_left_to_others(tmp_path: Path) -> None:
    """Two of four fit onto the disk beside what is left free."""
    mount = f"mount -t tmpfs -o size={storage.LEFT_FREE + 2 * storage.LARGE + (1 << 20)} none {tmp_path}"
    script = f'{mount} && exec {sys.executable} -c "$1"'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", FULL],
        env={**os.environ, "KERNELWRIGHT_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    assert (done.stdout.strip(), done.stderr) == ("2", "")
