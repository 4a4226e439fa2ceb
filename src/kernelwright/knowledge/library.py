"""All documents that there are: those of Kernelwright, of other packages, of the user, and what runs have taught."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kernelwright import paths, registry
from kernelwright.errors import MachineError, UsageError
from kernelwright.home import home, keep
from kernelwright.knowledge import learning
from kernelwright.knowledge.document import KINDS, Document, Kind, load, parse
from kernelwright.knowledge.passages import Index, Passage, Section, sections

_SHIPPED = Path(__file__).with_name("documents")
_SUFFIX = ".md"
_WHAT = "a document"


def open_library() -> Library:
    """Kernelwright's documents, those of packages that name a package of documents in the entry point group
    `kernelwright.knowledge`, and the user's, below `home()`."""
    others = [Path(registry.load("knowledge", name).__path__[0]) for name in registry.names("knowledge")]
    return Library([_SHIPPED, *others, home() / "knowledge"])


@dataclass(frozen=True)
class _Entry:
    """A document as it was read, and the file's state then."""

    name: str
    path: str
    state: tuple[int, int, int]
    document: Document

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Its sections with their words: cut once, however often the index is built."""
        return sections(self.name, self.document)


class Library:
    """Documents by name: the path below their folder without `.md`, e.g. `cpp/softmax`. Where two folders hold the same
    name the later one counts, so a user can replace a document of Kernelwright's.

    Life cycle: made of folders, of which the last is the one that is written to; then asked and taught in any order,
    for as long as wanted. Each question first looks for files that have changed, since other processes teach too, and
    reads those alone. The index is built by the first search, and again by the first one after a change. Files appear
    whole or not at all. Several threads may ask at once. Every question raises `UsageError` for a file that is not a
    document, with file and line.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._own = self._folders[-1]
        self._entries: dict[str, _Entry] = {}
        self._index: tuple[dict[str, _Entry], Index] | None = None

    def documents(
        self, *, language: str | None = None, target: str | None = None, kind: Kind | None = None
    ) -> dict[str, Document]:
        """Documents by name, sorted; of one kind, or all; None for language or target stands for any."""
        return {
            name: entry.document
            for name, entry in sorted(self._read().items())
            if kind in (None, entry.document.kind) and entry.document.fits(language, target)
        }

    def document(self, name: str) -> Document:
        """The document of that name.

        Raises:
            UsageError: there is none.
        """
        found = self._read()
        if name not in found:
            close = difflib.get_close_matches(name, found, 1)
            remedy = f"did you mean {close[0]}?" if close else "`kernelwright knowledge list` names them"
            raise UsageError(f"there is no document {name!r}", remedy=remedy)
        return found[name].document

    def always(self, language: str, target: str) -> list[Document]:
        """What belongs into every prompt for this language and target: constraints, then hardware, each by name.

        Those that are about certain operations are left to `search`.
        """
        fitting = [each for each in self.documents(language=language, target=target).values() if not each.operations]
        return [each for kind in ("constraint", "hardware") for each in fitting if each.kind == kind]

    def search(
        self,
        query: str,
        *,
        language: str | None = None,
        target: str | None = None,
        kinds: Collection[Kind] = KINDS,
        k: int = 8,
    ) -> list[Passage]:
        """The k sections that fit the query best, best first. Names of operations may be in the query.

        Raises:
            UsageError: bm25s is not installed.
        """
        entries = self._read()
        if self._index is None or self._index[0] is not entries:
            everything = [section for _, entry in sorted(entries.items()) for section in entry.sections]
            self._index = entries, Index(everything)
        return self._index[1].search(query, language, target, kinds, k)

    def learn(self, document: Document) -> bool:
        """Keeps a win or lesson; False where it is known already: a win of the same candidate, a lesson of the same
        words.

        Raises:
            MachineError: it cannot be written.
        """
        path = self._own / f"{learning.name_of(document)}{_SUFFIX}"
        if path.exists():
            return False
        keep(path, document.markdown(), _WHAT)
        return True

    def prune(self, keep: int) -> list[str]:
        """Removes wins and lessons that others outdo, and names them. Of those with the same operations, languages and
        targets (and, for lessons, of the same client about the same task) the `keep` best stay, and the newest."""
        learned = {
            name: entry.document for name, entry in self._read().items()
            if self._is_own(entry) and entry.document.source is not None
        }  # fmt: skip
        outdone = learning.outdone(learned, keep)
        for name in outdone:
            self._unlink(Path(self._entries[name].path))
        return outdone

    def add(self, files: Sequence[Path]) -> list[str]:
        """Copies documents into the user's folder, none of them where one is no document; returns their names. One of
        the same name is replaced.

        Raises:
            UsageError: a file is not a document, or two would have the same name.
            MachineError: they cannot be written.
        """
        wanted: dict[str, str] = {}
        for file in files:
            name = file_name(file.name.removesuffix(_SUFFIX))
            if name in wanted:
                raise UsageError(f"two of the files would be called {name}", where=str(file), remedy="rename one")
            if not paths.is_file(file):
                raise UsageError("there is no such file", where=str(file))
            wanted[name] = load(file)
            parse(wanted[name], str(file))
        for name, text in wanted.items():
            keep(self._own / f"{name}{_SUFFIX}", text, _WHAT)
        return list(wanted)

    def remove(self, name: str) -> None:
        """Removes a document of the user's folder.

        Raises:
            UsageError: there is none of that name there.
            MachineError: it cannot be removed.
        """
        self.document(name)
        entry = self._entries[name]
        if not self._is_own(entry):
            raise UsageError(
                f"{name} is not one of yours", where=entry.path,
                remedy=f"a document of the same name in {self._own} replaces it",
            )  # fmt: skip
        self._unlink(Path(entry.path))

    def _is_own(self, entry: _Entry) -> bool:
        return Path(entry.path).is_relative_to(self._own)

    def _read(self) -> dict[str, _Entry]:
        """All documents now; the same object as before where nothing has changed."""
        files = {name: file for folder in self._folders for name, file in _files(folder)}
        found: dict[str, _Entry] = {}
        for name, file in files.items():
            known = self._entries.get(name)
            try:
                facts = file.stat()
                state = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
                if known is None or known.state != state or known.path != file.path:
                    known = _Entry(name, file.path, state, parse(load(Path(file.path)), file.path))
            except FileNotFoundError:
                continue  # another process has removed it since
            found[name] = known
        if found != self._entries:
            self._entries = found
        return self._entries

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(f"cannot remove it: {error.strerror}", where=str(path)) from error


def file_name(text: str) -> str:
    """A name of letters, digits, `-`, `_` and `.` only, that begins with a letter or digit: it may come from anyone."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-_.")[:100] or "document"


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Documents' files below a folder by name; none where it does not exist."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise MachineError(f"cannot read the folder: {error.strerror}", where=str(folder)) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file() and entry.name.endswith(_SUFFIX) and not entry.name.startswith("."):
            yield prefix + entry.name.removesuffix(_SUFFIX), entry
