from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_helpers import task_folder

from kernelwright.errors import UsageError
from kernelwright.serve.folder import TaskFolder

TRICKS = (
    "", ".", "..", "../secret.py", "deeper/../../secret.py", "deeper/../relu.py", "linked.py", "out/secret.py",
    "out/tasks/../secret.py", "circle.py", "pipe.py", "notes.txt", "deeper", "missing.py", "relu.py\0",
    "relu.py\0.txt", "\0", "a" * 300 + ".py", "a/" * 100_000, "~/relu.py", "/etc/passwd", "/proc/self/environ",
    "file:///etc/passwd", "torch.nn:ReLU", "\udcff.py", "relu.py\n", "\\..\\secret.py",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return TaskFolder(task_folder(tmp_path))


@pytest.mark.parametrize("name", ["relu.py", "deeper/relu.py", "./relu.py", "inside.py"])
def test_tasks_are_found_by_their_names(folder: TaskFolder, name: str) -> None:
    assert folder.file(name).read_text().startswith("import torch")


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_are_told_nothing(folder: TaskFolder, name: str) -> None:
    with pytest.raises(UsageError) as error:
        folder.file(name)
    assert error.value.what.startswith("there is no task ")
    assert len(str(error.value)) < 500


def test_absolute_names_are_refused_even_inside(folder: TaskFolder) -> None:
    with pytest.raises(UsageError, match="there is no task"):
        folder.file(str(folder.root / "relu.py"))


def test_huge_files_are_refused(folder: TaskFolder) -> None:
    with pytest.raises(UsageError, match=r"huge\.py: the task is larger than"):
        folder.file("huge.py")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    for name in ("missing", "long" * 100):
        with pytest.raises(UsageError, match="there is no such folder"):
            TaskFolder(tmp_path / name)


@given(
    name=st.one_of(
        st.text(),
        st.lists(st.sampled_from(["..", ".", "out", "deeper", "relu.py", "linked.py", "secret.py", "", "\0"])).map(
            "/".join
        ),
    )
)
def test_nothing_outside_is_ever_found(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp() / "hypothesis"
    folder = TaskFolder(root / "tasks" if root.exists() else task_folder(root))
    try:
        found = folder.file(name)
    except UsageError:
        return
    assert found.is_relative_to(folder.root)
    assert not found.is_symlink()
