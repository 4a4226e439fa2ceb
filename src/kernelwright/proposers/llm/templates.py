"""Templates of prompts: everything that a model reads and that is no data, in files, one set or several."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kernelwright import paths
from kernelwright.errors import UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SHIPPED = "shipped"
"""The name of the set that comes with Kernelwright."""
_SUFFIX = ".j2"
_FENCE = re.compile(r"`{3,}")
_CANNOT_BE_FILLED = (
    TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What templates of others raise: they include themselves, divide by 0, look for what is not there."""


class Templates:
    """A set of templates: `name` is its folder or `SHIPPED`, `own` the templates that are in that folder, `version` 12
    hex digits that change when any template does. It is read once, so files that change later change nothing."""

    def __init__(self, name: str, texts: Mapping[str, str], own: Iterable[str] = ()) -> None:
        self.name, self.own = name, frozenset(own)
        self._texts = texts
        content = "".join(f"{each}\0{text}\0" for each, text in sorted(texts.items()))
        self.version = hashlib.sha256(content.encode()).hexdigest()[:12]
        # What is written here is read by a model, not by a browser: nothing is escaped. Somebody else's templates may
        # reach nothing but the values that they are given, hence the sandbox.
        self._environment = ImmutableSandboxedEnvironment(
            loader=DictLoader(texts), undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters["fenced"] = fenced
        for each in texts:
            try:
                self._environment.get_template(each)
            except TemplateSyntaxError as error:
                raise UsageError(f"line {error.lineno}: {error.message}", where=f"{name}/{each}") from error

    def reached(self, templates: Iterable[str]) -> set[str]:
        """These templates and all that they include, by whatever way."""
        found, left = set[str](), list(templates)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                text = self._texts[name]
                left += [each for each in meta.find_referenced_templates(self._environment.parse(text)) if each]
        return found

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """The text of a template with these values.

        Raises:
            UsageError: the template asks for something that there is not.
        """
        try:
            return self._environment.get_template(template).render(values)
        except _CANNOT_BE_FILLED as error:
            raise UsageError(
                f"the template cannot be filled: {error}",
                where=f"{self.name}/{template}",
                remedy="compare it with the one that ships",
            ) from error


def fenced(text: str, language: str = "") -> str:
    """The text as a block of code that it cannot end itself."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    body = text.strip("\n")
    return f"{fence}{language}\n{body}\n{fence}"


@cache
def shipped() -> Templates:
    """The templates that come with Kernelwright."""
    return Templates(SHIPPED, _shipped_texts())


def open_templates(where: str) -> Templates:
    """The templates of a folder, and the shipped ones in the place of those that it has not; or the shipped set.

    Raises:
        UsageError: there is no such folder, it has no template, one with a name that means nothing, or one with an
            error; names it.
    """
    if where == SHIPPED:
        return shipped()
    folder, known = Path(where), _shipped_texts()
    if not paths.is_folder(folder):
        raise UsageError("there is no such folder of prompts", where=where, remedy=f"name a folder, or `{SHIPPED}`")
    own = {str(path.relative_to(folder).as_posix()): _text(path) for path in sorted(folder.rglob(f"*{_SUFFIX}"))}
    if not own:
        raise UsageError(f"no template is in it: no file ends in {_SUFFIX}", where=where, remedy=_named_like(known))
    for name in own:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else _named_like(known)
            raise UsageError(f"no prompt uses a template {name}", where=where, remedy=remedy)
    return Templates(where, {**known, **own}, own)


def open_sets(folders: Iterable[str]) -> list[Templates]:
    """The sets that a run takes turns between; the shipped one where none is named. Raises as `open_templates`."""
    return [open_templates(where) for where in folders] or [shipped()]


def _named_like(known: Mapping[str, str]) -> str:
    return f"name it as one of {', '.join(sorted(known))}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the template: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError("the template is no UTF-8 text", where=str(path), remedy="save it as UTF-8") from error


@cache
def _shipped_texts() -> Mapping[str, str]:
    return dict(_files(resources.files(__package__).joinpath("prompts"), ""))


def _files(folder: Traversable, above: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield f"{above}{entry.name}", entry.read_text(encoding="utf-8")
