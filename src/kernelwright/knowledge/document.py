"""A document: a Markdown file whose front matter (YAML between two lines of `---`) says what it is about."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from kernelwright.errors import UsageError

Kind = Literal["constraint", "guidance", "hardware", "win", "lesson"]
"""The kinds of KernelEvolve (arXiv 2512.23236), and what past runs add to them."""
KINDS: tuple[Kind, ...] = get_args(Kind)
LARGEST = 64 << 10
"""Bytes of a document: it goes into prompts."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that no document holds: a terminal would obey them, and YAML refuses some."""
_FENCE = "---"
_DEEPEST = 2
"""Front matter is a mapping; its values are words, lists of words, and the mapping `source`."""
_PLAIN_WORDS = {
    "extra_forbidden": "there is no such key",
    "missing": "it is missing",
    "tuple_type": "it must be a list such as [cpp]",
    "string_too_short": "it is empty",
}
"""For what pydantic says of front matter."""
# libyaml's reader where PyYAML was built with it: 2,000 documents take a tenth of a second instead of two.
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _plain(text: str) -> str:
    if CONTROL.search(text):
        raise PydanticCustomError("control", "it holds a control character")
    return text


Plain = Annotated[str, AfterValidator(_plain)]
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\n]*$"), AfterValidator(_plain)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\n]*$"), AfterValidator(_plain)]


class Source(BaseModel):
    """Where a win or lesson comes from. `speedup` is over eager, `floor_share` the floor's time over the kernel's.

    `run` is empty for what is about a task alone. `noted_by` names the client or model whose words it is in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Name = ""
    task: Word
    noted_by: Name = ""
    candidate: str = Field(default="", pattern=r"^[0-9a-f]*$", max_length=64)
    speedup: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    floor_share: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    date: dt.date

    def __str__(self) -> str:
        """In a line, for people."""
        by = f" by {self.noted_by}" if self.noted_by else ""
        return f"{self.run or self.task}{by}, {self.date}"


class Document(BaseModel):
    """Front matter and text. An empty list of languages, targets or operations means all of them.

    `operations` are core ATen names without `aten.` and overload, or families (`softmax`, `reduction`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Word
    kind: Kind
    languages: tuple[Word, ...] = ()
    targets: tuple[Word, ...] = ()
    operations: tuple[Word, ...] = ()
    source: Source | None = None
    text: Annotated[Plain, Field(min_length=1)]

    @model_validator(mode="after")
    def _sourced(self) -> Document:
        if (self.source is None) == (self.kind in ("win", "lesson")):
            raise PydanticCustomError("source", "a win or lesson, and nothing else, has a `source`")
        return self

    def fits(self, language: str | None = None, target: str | None = None) -> bool:
        """Whether it speaks of this language and target; None stands for any."""
        return (language is None or not self.languages or language in self.languages) and (
            target is None or not self.targets or target in self.targets
        )

    def to_json(self) -> dict[str, Any]:
        """What `knowledge list --json` prints of it: everything but the text."""
        return self.model_dump(mode="json", exclude={"text"})

    @property
    def line(self) -> str:
        """What it is about, in a line, for an index."""
        about = f" ({', '.join(self.operations)})" if self.operations else ""
        return f"{self.kind}: {self.title}{about}"

    def markdown(self) -> str:
        """The file's text; `parse` reads it."""
        facts = self.model_dump(mode="json", exclude={"text"}, exclude_defaults=True)
        front = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=LARGEST, default_flow_style=None)
        return f"{_FENCE}\n{front}{_FENCE}\n\n{self.text}\n"


def load(path: Path) -> str:
    """The text of a document's file.

    Raises:
        FileNotFoundError: there is no such file.
        UsageError: it cannot be read, is too large or not UTF-8; names file and line.
    """
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", where=str(path)) from error
    if len(found) > LARGEST:
        raise UsageError(f"a document has at most {LARGEST >> 10} kB", where=str(path), remedy="split it")
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise _refused(str(path), found.count(b"\n", 0, error.start) + 1, "it is not UTF-8") from error


def parse(markdown: str, where: str) -> Document:
    """The document that a file's text holds; `where` is the file's name for errors.

    Raises:
        UsageError: it is not a document; names file and line.
    """
    # Other ends of lines than \n would make line numbers differ from what editors show.
    lines = markdown.replace("\r\n", "\n").split("\n")
    if found := CONTROL.search("\n".join(lines)):
        line = found.string.count("\n", 0, found.start()) + 1
        raise _refused(where, line, "it holds a control character")
    if lines[0] != _FENCE or _FENCE not in lines[1:]:
        raise _refused(where, 1, "a document begins with front matter between two lines of `---`")
    end = lines.index(_FENCE, 1)
    front, places = _front_matter("\n".join(lines[1:end]), where)
    text = "\n".join(lines[end + 1 :]).strip()
    if not text:
        raise _refused(where, end + 1, "it has no text below the front matter")
    try:
        if "text" in front:
            raise _refused(where, places["text"], "the text stands below the front matter")
        return Document.model_validate({**front, "text": text})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        path = [str(part) for part in problem["loc"]]
        name = f"`{'.'.join(path)}`: " if path else ""
        place = next((places[key] for key in (".".join(path[:2]), *path[:1]) if key in places), 2)
        raise _refused(where, place, name + _PLAIN_WORDS.get(problem["type"], problem["msg"])) from error


def _front_matter(text: str, where: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Keys and values, all of them strings or containers of strings, and the line of each key (`source.run`)."""
    try:
        _check_depth(text, where)
        loader = _Loader(text)
        tree = loader.get_single_node()
        if not isinstance(tree, yaml.MappingNode):
            raise _refused(where, 2, "front matter consists of lines `key: value`")
        places = _places(tree, where)
        front: dict[str, Any] = loader.construct_document(tree)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 2
        raise _refused(where, line, f"front matter is not YAML: {error.problem}") from error
    return front, places


def _check_depth(text: str, where: str) -> None:
    """libyaml builds trees by recursion that nothing limits: enough brackets would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _refused(where, event.start_mark.line + 2, "front matter is nested too deeply")


def _places(tree: yaml.MappingNode, where: str, prefix: str = "") -> dict[str, int]:
    places: dict[str, int] = {}
    for key, value in tree.value:
        name, line = f"{prefix}{key.value}", key.start_mark.line + 2
        if name in places:
            raise _refused(where, line, f"`{name}` stands there twice")
        places[name] = line
        if isinstance(value, yaml.MappingNode) and not prefix:
            places |= _places(value, where, f"{name}.")
    return places


def _refused(where: str, line: int, what: str) -> UsageError:
    return UsageError(what, where=f"{where}:{line}", remedy="see docs/knowledge.md for what a document looks like")
