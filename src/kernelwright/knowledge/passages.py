"""Sections of documents, ranked by BM25 (Robertson, Zaragoza 2009) through bm25s."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from kernelwright.errors import UsageError
from kernelwright.knowledge.document import Document, Kind

_LESSONS = 4
"""One place in so many, at least one, is left to lessons: whoever notes them can put in every word there is."""
_HEADING = re.compile(r"#{1,6} +(.*)")
_IDENTIFIER = re.compile(r"\w+")
_ATEN = re.compile(r"\baten\.(\w+)(\.\w+)?")
_STOP_WORDS_TEXT = """
    a an and are as at be but by can do does each for from has have how if in into is it its no not of on one or over so
    than that the them then there they this to use used was what when where which with
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


@dataclass(frozen=True)
class Section:
    """What stands below one heading (empty: before the first), with its code; and the words it is found by."""

    name: str
    document: Document
    heading: str
    text: str
    words: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Passage:
    """A section that a search found. `score` is only good for comparing passages of one search; `name` is the
    document's in the library."""

    name: str
    document: Document
    heading: str
    text: str
    score: float

    @property
    def title(self) -> str:
        """The document's title."""
        return self.document.title

    def to_json(self) -> dict[str, Any]:
        """What `knowledge search --json` prints of it."""
        found = {"heading": self.heading, "score": round(self.score, 3), "text": self.text}
        return {"name": self.name, "title": self.title, "kind": self.document.kind, **found}


def sections(name: str, document: Document) -> tuple[Section, ...]:
    """A document split at its headings. Each is found by the document's title and operations too."""
    about = _words(f"{document.title} {' '.join(document.operations)}")
    return tuple(
        Section(name, document, heading, text, (*about, *_words(f"{heading} {text}")))
        for heading, text in _split(document.text)
    )


def _split(markdown: str) -> Iterator[tuple[str, str]]:
    heading, lines, in_code = "", list[str](), False
    for line in markdown.split("\n"):
        in_code ^= line.lstrip().startswith("```")
        found = None if in_code else _HEADING.fullmatch(line)
        if found is None:
            lines.append(line)
            continue
        if text := "\n".join(lines).strip():
            yield heading, text
        heading, lines = found[1].strip(), []
    if text := "\n".join(lines).strip():
        yield heading, text


def _words(text: str) -> list[str]:
    """Words without plural endings; identifiers (`index_add`, `_mm256_stream_ps`) whole and their parts. Of ATen
    operations only the name counts."""
    return [
        word for identifier in _IDENTIFIER.findall(_ATEN.sub(r"\1", text).lower()) for word in _words_of(identifier)
    ]


@lru_cache(maxsize=1 << 16)
def _words_of(identifier: str) -> tuple[str, ...]:
    parts = [part for part in identifier.split("_") if part]
    whole = ["_".join(parts)] if len(parts) > 1 else []
    return (*whole, *(_singular(part) for part in parts if part not in _STOP_WORDS))


def _singular(word: str) -> str:
    """The S-stemmer (Harman 1991, How effective is suffixing?)."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]


class Index:
    """Immutable: made of all sections at once, then searched from any thread."""

    def __init__(self, all_sections: Sequence[Section]) -> None:
        try:
            from bm25s import BM25
        except ModuleNotFoundError as error:
            remedy = "pip install 'kernelwright[llm]'"
            raise UsageError("searching documents needs the package bm25s", remedy=remedy) from error
        self._sections = tuple(all_sections)
        self._masks: dict[tuple[str | None, str | None, frozenset[Kind]], Any] = {}
        # A section is about one thing; where it is long that is because of its code, so length counts for nothing (b).
        self._ranking = BM25(b=0.0)
        if self._sections:
            self._ranking.index([list(section.words) for section in self._sections], show_progress=False)

    def search(
        self, query: str, language: str | None, target: str | None, kinds: Collection[Kind], k: int
    ) -> list[Passage]:
        """The k best sections of documents that fit, best first; those that share no word with the query are left
        out, and lessons beyond a few. Equally good ones come in the order of names and sections."""
        import numpy as np

        known = self._ranking.get_tokens_ids(_words(query)) if self._sections else []
        if not known or k < 1:
            return []
        scores = self._ranking.get_scores_from_ids(known, weight_mask=self._mask(language, target, frozenset(kinds)))
        best = np.argsort(-scores, kind="stable")
        ranked = ((self._sections[at], float(scores[at])) for at in best if scores[at] > 0)
        chosen = islice(_few_lessons(ranked, max(1, k // _LESSONS)), k)
        return [Passage(each.name, each.document, each.heading, each.text, score) for each, score in chosen]

    def _mask(self, language: str | None, target: str | None, kinds: frozenset[Kind]) -> Any:
        import numpy as np

        key = (language, target, kinds)
        if key not in self._masks:
            documents = (section.document for section in self._sections)
            fitting = [each.kind in kinds and each.fits(language, target) for each in documents]
            self._masks[key] = np.array(fitting, dtype=np.float32)
        return self._masks[key]


def _few_lessons(ranked: Iterable[tuple[Section, float]], most: int) -> Iterator[tuple[Section, float]]:
    for section, score in ranked:
        if section.document.kind == "lesson":
            most -= 1
            if most < 0:
                continue
        yield section, score
