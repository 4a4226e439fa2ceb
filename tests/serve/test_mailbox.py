from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.errors import MachineError, UsageError
from kernelwright.serve import mailbox as mailboxes
from kernelwright.serve.mailbox import Mailbox


@pytest.fixture
def box(tmp_path: Path):
    box = Mailbox(tmp_path / "box")
    yield box
    box.close()


def reply(box: Mailbox, number: int, timeout: float = 5) -> str:
    return asyncio.run(asyncio.wait_for(box.reply(number), timeout))


def test_the_same_prompt_has_the_same_number_also_after_a_restart(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    assert [box.post(text) for text in ("one", "two", "one")] == [1, 2, 1]
    assert (tmp_path / "0001.prompt.md").read_text() == "one"
    box.close()
    again = Mailbox(tmp_path)
    assert [again.post(text) for text in ("three", "two", "one")] == [3, 2, 1]
    again.close()


@given(texts=st.lists(st.text(), max_size=8))
def test_numbers_are_the_texts(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("box")
    for _ in range(2):
        box = Mailbox(folder)
        numbers = [box.post(text) for text in texts]
        box.close()
        assert len(set(numbers)) == len(set(texts))
        assert dict(zip(texts, numbers, strict=True)) == {text: box.post(text) for text in texts}
    assert len(list(folder.glob("*.prompt.md"))) == len(set(texts))


def test_a_prompt_that_was_deleted_is_written_again(box: Mailbox) -> None:
    number = box.post("text")
    box.prompt_file(number).unlink()
    assert box.post("text") == number
    assert box.prompt_file(number).read_text() == "text"


def test_a_reply_without_a_prompt_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "0001.reply.md").write_text("stale")
    box = Mailbox(tmp_path)
    assert box.post("new") == 2
    box.close()


def test_a_moved_file_is_complete_at_once(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "_SETTLED_S", 1e9)
    draft = box.folder / "draft"
    draft.write_text("  whole\n")
    time.sleep(0.02)  # the clock of file times has coarse ticks
    draft.rename(box.reply_file(1))
    assert reply(box, 1) == "whole"


def test_a_file_written_in_place_is_taken_when_it_has_settled(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "_LOOK_S", 0.01)
    monkeypatch.setattr(mailboxes, "_SETTLED_S", 0.3)

    async def written_slowly() -> str:
        waiting = asyncio.ensure_future(box.reply(1))
        with box.reply_file(1).open("w") as file:
            for part in ("", " \n", "first ", "second ", "third"):
                file.write(part)
                file.flush()
                await asyncio.sleep(0.1)
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(written_slowly()) == "first second third"


def test_a_blank_reply_is_none(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "_SETTLED_S", 0.0)
    box.reply_file(1).write_text(" \n\t")
    with pytest.raises(asyncio.TimeoutError):
        reply(box, 1, timeout=0.5)


def test_a_reply_that_is_no_text_does_no_harm(box: Mailbox) -> None:
    draft = box.folder / "draft"
    draft.write_bytes(b"\xef\xbb\xbfcaf\xe9")
    time.sleep(0.02)
    draft.rename(box.reply_file(1))
    assert reply(box, 1) == "caf\ufffd"


def test_a_huge_reply_is_refused(box: Mailbox) -> None:
    with box.reply_file(1).open("w") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match=r"0001\.reply\.md: the reply is larger"):
        reply(box, 1)


def test_pipes_and_folders_are_neither_prompts_nor_replies(tmp_path: Path) -> None:
    """Reading a pipe would wait for its writer, and with it every asker."""
    os.mkfifo(tmp_path / "0001.prompt.md")
    (tmp_path / "0002.prompt.md").mkdir()
    box = Mailbox(tmp_path)
    assert box.post("text") == 3
    for make in (os.mkfifo, os.mkdir):
        make(box.reply_file(3))
        with pytest.raises(TimeoutError):
            reply(box, 3, timeout=0.3)
        box.reply_file(3).rename(tmp_path / make.__name__)
    (tmp_path / "draft").write_text("reply")
    (tmp_path / "draft").rename(box.reply_file(3))
    assert reply(box, 3) == "reply"
    box.close()


def test_what_cannot_be_read_is_told_once_and_waited_on(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "_SETTLED_S", 0.0)
    told: list[str] = []

    async def scenario() -> str:
        waiting = asyncio.ensure_future(box.reply(1, told.append))
        for make, why in ((os.mkdir, "is a folder"), (os.mkfifo, "is no file")):
            make(box.reply_file(1))
            while told[-1:] != [why]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(3 * mailboxes._LOOK_S)
            box.reply_file(1).rename(box.folder / make.__name__)
        box.reply_file(1).write_text("reply")
        return await waiting

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == "reply"
    assert told == ["is a folder", "is no file"]


def test_one_relay_a_folder(box: Mailbox) -> None:
    with pytest.raises(UsageError, match="another relay uses this folder"):
        Mailbox(box.folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="file/box: cannot use the folder"):
        Mailbox(tmp_path / "file" / "box")


def test_others_cannot_read_a_new_folder(box: Mailbox) -> None:
    assert box.folder.stat().st_mode & 0o077 == 0
