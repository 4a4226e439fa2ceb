"""Precompiled headers appear whole, however many processes make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernelwright.languages import headers


def test_processes_with_the_same_number_do_not_write_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sandboxed processes may both be number 2."""
    drafts: list[Path] = []

    def compiler(command: list[str], **_: Any) -> None:
        drafts.append(Path(command[-1]))
        drafts[-1].write_text("half")
        if len(drafts) == 1:
            headers.precompile_tvm_ffi(tmp_path)  # another one begins and ends meanwhile
            assert (tmp_path / "tvm_ffi.h.gch").read_text() == "whole"
        with Path(command[-1]).open("w") as draft:
            draft.write("whole")

    monkeypatch.setattr(headers.subprocess, "run", compiler)
    headers.precompile_tvm_ffi(tmp_path)

    assert drafts[0] != drafts[1]
    assert {path.name for path in tmp_path.iterdir()} == {"tvm_ffi.h", "tvm_ffi.h.gch"}
