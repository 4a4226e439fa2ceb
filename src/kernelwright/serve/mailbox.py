"""A folder through which prompts go out and replies come back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kernelwright.errors import MachineError, UsageError
from kernelwright.store.locks import FileLocks

_LOOK_S, _SETTLED_S = 0.2, 1.0
LARGEST_REPLY = 4 << 20
_NAME = re.compile(r"(\d{4,})\.(prompt|reply)\.md")


class Mailbox:
    """Prompts are files `0007.prompt.md`, each reply a file `0007.reply.md` beside its prompt.

    Life cycle: made over a folder, which is locked until `close`; `post` a prompt, await its `reply`. The prompts'
    own text is the index: the same text has the same number, also after a restart.

    Raises:
        UsageError: another relay uses the folder.
        MachineError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = [(int(name[1]), path) for path in self.folder.iterdir() if (name := _NAME.fullmatch(path.name))]
            self._last = max((number for number, _ in files), default=0)
            prompts = ((number, path) for number, path in files if path.name.endswith(".prompt.md") and path.is_file())
            self._numbers = {_digest(path.read_bytes()): number for number, path in prompts}
        except OSError as error:
            raise self._unusable(error) from error
        self.close = self._locked()

    def prompt_file(self, number: int) -> Path:
        """Where a prompt is."""
        return self.folder / f"{number:04}.prompt.md"

    def reply_file(self, number: int) -> Path:
        """Where its reply is expected."""
        return self.folder / f"{number:04}.reply.md"

    def post(self, prompt: str) -> int:
        """Writes a prompt, whole or not at all, and returns its number; a prompt that is there keeps its number.

        Raises:
            MachineError: the file cannot be written.
        """
        content = prompt.encode("utf-8", errors="replace")
        number = self._numbers.get(_digest(content), self._last + 1)
        path = self.prompt_file(number)
        try:
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")  # what looks for *.prompt.md must not find it yet
                unfinished.write_bytes(content)
                unfinished.rename(path)
        except OSError as error:
            raise self._unusable(error) from error
        self._numbers[_digest(content)], self._last = number, max(self._last, number)
        return number

    async def reply(self, number: int, blocked: Callable[[str], None] = lambda _: None) -> str:
        """Waits for a reply: a file that is not blank, and that was moved there or has not changed for a second.

        `blocked` hears why what has stood in its place for a second cannot be read, which does not end the waiting.

        Raises:
            UsageError: the reply is larger than `LARGEST_REPLY` bytes.
        """
        path, seen, since, told = self.reply_file(number), _Found(), time.monotonic(), ""
        while True:
            found = _look(path)
            if found != seen:
                seen, since = found, time.monotonic()
            settled = time.monotonic() - since >= _SETTLED_S
            if found.content.strip() and (found.moved or settled):
                return found.content.decode("utf-8-sig", errors="replace").strip()
            if settled and found.unreadable != told:
                told = found.unreadable
                if told:
                    blocked(told)
            await asyncio.sleep(_LOOK_S)

    def _locked(self) -> Callable[[], None]:
        release = FileLocks(self.folder).acquire("relay")
        if release is None:
            raise UsageError(
                "another relay uses this folder", where=str(self.folder), remedy="stop it, or name another folder"
            )
        return release

    def _unusable(self, error: OSError) -> MachineError:
        return MachineError(
            f"cannot use the folder: {error.strerror}",
            where=str(self.folder),
            remedy="make it writable or name another",
        )


@dataclass(frozen=True)
class _Found:
    """What is in a reply's place: the text of a file and whether it was `moved` there, or why it is `unreadable`; none
    of it where nothing is."""

    content: bytes = b""
    unreadable: str = ""
    moved: bool = field(default=False, compare=False)


def _look(path: Path) -> _Found:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # reading a pipe would wait for its writer
            return _Found(unreadable="is a folder" if stat.S_ISDIR(facts.st_mode) else "is no file")
        if facts.st_size > LARGEST_REPLY:
            raise UsageError(f"the reply is larger than {LARGEST_REPLY} bytes", where=str(path))
        return _Found(path.read_bytes(), moved=_was_moved(facts))
    except FileNotFoundError:  # not there yet, or replaced at this moment
        return _Found()
    except OSError as error:
        return _Found(unreadable=f"cannot be read ({error.strerror})")


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _was_moved(found: os.stat_result) -> bool:
    """Whether a file got its name after its last byte. Writing sets both times alike, a rename only this one."""
    return found.st_ctime_ns > found.st_mtime_ns
