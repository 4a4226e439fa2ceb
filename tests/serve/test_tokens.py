from __future__ import annotations

from pathlib import Path

import pytest

from kernelwright.errors import MachineError, UsageError
from kernelwright.serve import extras, tokens


def test_a_token_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "token"
    token = tokens.read_or_make(file)
    assert len(token) >= 32
    assert tokens.read_or_make(file) == token
    assert file.stat().st_mode & 0o777 == 0o600
    assert tokens.read_or_make(tmp_path / "other") != token


@pytest.mark.parametrize("content", ["", "\n", "short", "k\x00w" * 20, "\u00fc" * 30, "two tokens\n" * 3])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="holds no token; delete the file"):
        tokens.read_or_make(file)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot keep the token"):
        tokens.read_or_make(tmp_path / "file" / "token")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "\n", "x" * 41])
def test_names_that_are_no_files(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a client"):
        tokens.file(name)


def test_a_missing_extra_is_named() -> None:
    wanted = r"no_such_package; install it with `pip install 'kernelwright\[serve\]'`"
    with pytest.raises(UsageError, match=wanted), extras.needed():
        import no_such_package  # noqa: F401
