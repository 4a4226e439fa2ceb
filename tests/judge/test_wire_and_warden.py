"""What a worker may say, and what it and everything it has started may take."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.judge import comparing, wire
from kernelwright.judge.tensors import BadTensor, Claim, UnknownDtype
from kernelwright.judge.warden import Allowance, breach

TENSOR = {"shape": [2, 3], "strides": [3, 1], "dtype": "float32", "pointer": 4096}


def test_half_a_character_is_replaced_and_a_whole_one_kept() -> None:
    message = wire.parse(json.dumps({"\ud800": ["a\udfffb", "\U0001f600", "\\ud800"]}).encode())

    assert message == {"?": ["a?b", "\U0001f600", "\\ud800"]}
    json.dumps(message, ensure_ascii=False).encode()


@pytest.mark.parametrize("body", [b"[" * 100_000, b"42", b"\xff\xfe", b'{"a": ' * 5000, b""])
def test_what_is_no_object_is_an_error_of_the_wire(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.parse(body)


def test_a_message_over_the_limit_is_not_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire.HEADER.pack(1001) + b" " * 1001)
        with pytest.raises(wire.WireError, match="limit"):
            wire.receive_bytes(ours, 1.0, limit=1000)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [float("inf"), 3]},
        {"shape": [float("nan"), 3]},
        {"strides": [3]},
        {"strides": [-3, 1]},
        {"pointer": 10**400},
        {"pointer": -1},
        {"pointer": None},
        {"shape": [2**70, 0]},
    ],
)
def test_a_tensor_that_cannot_be_is_told_from_one_that_can(change: dict[str, object]) -> None:
    assert Claim.parse(TENSOR).elements == 6
    with pytest.raises(BadTensor):
        Claim.parse(TENSOR | change)


@pytest.mark.parametrize("later", [True, 1e300, None, "x", {}, [1], float("nan")])
def test_what_is_no_address_of_a_later_call_is_told_from_one(later: object) -> None:
    assert comparing.spelt_out([[TENSOR], 64]) == [[TENSOR], [TENSOR | {"pointer": 64}]]
    assert comparing.spelt_out([[TENSOR], later]) is None


@pytest.mark.parametrize("state", [None, [1], {}, "x"])
def test_what_is_no_list_of_parameters_is_told_from_one(state: object) -> None:
    assert comparing.is_list_of_objects([TENSOR])
    assert not comparing.is_list_of_objects(state)


def test_an_unknown_dtype_is_no_nonsense() -> None:
    with pytest.raises(UnknownDtype):
        Claim.parse(TENSOR | {"dtype": "float3"})


def test_the_warden_names_what_there_is_too_much_of(tmp_path: Path) -> None:
    plenty = Allowance(memory=1 << 50, folder=str(tmp_path))

    assert not breach(os.getpid(), plenty)
    assert "memory" in breach(os.getpid(), Allowance(memory=1 << 20))
    assert "processes" in breach(os.getpid(), Allowance(memory=1 << 50, processes=0, folder=str(tmp_path)))


def test_the_warden_counts_files_that_have_no_name_any_more(tmp_path: Path) -> None:
    allowed = Allowance(memory=1 << 50, disk=1 << 20, folder=str(tmp_path))
    steps = (
        "import os; file = open('block', 'wb'); file.write(bytes(2 << 20)); file.flush(); os.fsync(file.fileno())",
        "os.unlink('block')",
        "file.close()",
    )
    command = [sys.executable, "-c", "\n".join(f"{step}; print(flush=True); input()" for step in steps)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, bufsize=1, **pipes) as child:
        found = []
        for _ in steps:
            child.stdout.readline()
            found.append(breach(child.pid, allowed))
            child.stdin.write("\n")
            child.stdin.flush()
    assert ["wrote" in said for said in found] == [True, True, False]
