"""One device for the judges of several processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.errors import MachineError
from kernelwright.judge.device_turns import DeviceTurns

HOLDER = """
import asyncio, pathlib, sys
from kernelwright.judge.device_turns import DeviceTurns

async def hold():
    async with DeviceTurns(pathlib.Path(sys.argv[1])).turn():
        print("held", flush=True)
        await asyncio.sleep(3600)

asyncio.run(hold())
"""


def test_judges_have_the_device_in_turn_and_none_waits_for_ever(tmp_path: Path) -> None:
    notes: list[str] = []

    async def judge(name: str) -> None:
        turns = DeviceTurns(tmp_path / "device")
        for _ in range(5):
            async with turns.turn():
                notes.append(f"{name} begins")
                await asyncio.sleep(0.03)
                notes.append(f"{name} ends")

    async def both() -> None:
        await asyncio.gather(judge("one"), judge("other"))

    asyncio.run(both())
    assert [note.split()[0] for note in notes[::2]] == [note.split()[0] for note in notes[1::2]]  # never at once
    begun = [note.split()[0] for note in notes[::2]]
    assert begun in (["one", "other"] * 5, ["other", "one"] * 5)


def test_who_steps_aside_lets_another_judge_have_it(tmp_path: Path) -> None:
    notes: list[str] = []
    one, other = DeviceTurns(tmp_path), DeviceTurns(tmp_path)

    async def first() -> None:
        async with one.turn(1.0) as step_aside:
            notes.append("first part")
            waiting = asyncio.ensure_future(second())
            await asyncio.sleep(0.1)
            await step_aside()
            notes.append("second part")
            await waiting

    async def second() -> None:
        async with other.turn():
            notes.append("another judge")

    asyncio.run(first())
    assert notes == ["first part", "another judge", "second part"]


def test_who_is_cancelled_while_waiting_holds_nothing(tmp_path: Path) -> None:
    one, other = DeviceTurns(tmp_path), DeviceTurns(tmp_path)

    async def waits() -> None:
        async with other.turn():
            pytest.fail("it was not its turn")

    async def main() -> None:
        async with one.turn():
            waiting = asyncio.ensure_future(waits())
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with other.turn(), DeviceTurns(tmp_path / "another device").turn():
            pass

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_judge_that_is_killed_leaves_the_device_to_others(tmp_path: Path) -> None:
    async def have() -> None:
        async with DeviceTurns(tmp_path).turn():
            pass

    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    asyncio.run(asyncio.wait_for(have(), 60))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def have() -> None:
        async with DeviceTurns(tmp_path / "file" / "device").turn():
            pytest.fail("there is no lock")

    with pytest.raises(MachineError, match="cannot lock the device"):
        asyncio.run(have())
