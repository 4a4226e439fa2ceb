"""Turns what gcc, clang or nvcc print about generated C++ into a line of the candidate's own Python file."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from kernelwright import syntax
from kernelwright.languages.base import BuildProblem
from kernelwright.languages.source import inline_builds

_PLACE = re.compile(r"^(?P<file>[^\s:][^:\n]*?)[:(](?P<line>\d+)(?:\):|:(?:\d+:)?)\s*(?P<what>.*)$")
"""gcc's `main.cpp:7:12: error: ...`, nvcc's `cuda.cu(7): error: ...`."""
_SEVERE = re.compile(r"(?:fatal |catastrophic )?error(?: #[\w-]+)?:\s*(?P<message>.*)")
_QUOTED = re.compile(r"^\s*(?P<line>\d+) \| (?P<text>.*)$")
_CARET = re.compile(r"^\s*\^")
_LINKER = re.compile(r"(undefined (?:reference to|symbol:?) .*|cannot find -l.*|multiple definition of .*)$")
_PLACELESS = re.compile(r"^(?:ptxas|nvlink|nvcc)\b.*?\b(?:error|fatal)\s*:\s*(.*)$")
_NOISE = re.compile(
    r"^(\[\d+/\d+\]|ninja|FAILED:|stdout:|stderr:|\S*(?:c\+\+|g\+\+|clang\+\+|gcc|ccache)\s"
    r"|\S*nvcc\s+-|nvcc warning|ptxas info|\s+\d+ bytes stack frame)"
)
_PATH = re.compile(r"/[^\s:'\"]+")
_KNOWN_FILE = re.compile(r"^[^/]+\.(?:cpp|cuh?|h|hpp|so|o)\b")
_GENERATED = re.compile(r"(?:main\.cpp|cuda\.cu)$")
_BUILT = re.compile(r"\bninja\b|CppCompileError|Error building extension")
_KEPT_LINES = 40


def explain(source: str, output: str) -> BuildProblem:
    """The first error, with the candidate's line where the offending C++ line can be found in its text; an empty
    message
    where the output is no build's.

    Args:
        source: the candidate's text.
        output: what the build printed, or the message of the exception it raised.
    """
    lines = [line.rstrip() for line in output.splitlines() if not _NOISE.match(line)]
    kept = _without_folders("\n".join(lines))
    for index, line in enumerate(lines):
        place = _PLACE.match(line)
        severe = _SEVERE.match(place["what"]) if place else None
        if severe:
            generated = _generated_line(lines, index)
            number, text = _candidate_line(source, generated) if generated else (0, "")
            return BuildProblem(severe["message"], number, text, _cut(kept, line), _notes(lines[index + 1 :]))
    for line in lines:
        linker = _LINKER.search(line) or _PLACELESS.search(line)
        if linker:
            return BuildProblem(linker[1], output=_cut(kept, line))
    if not _BUILT.search(output):
        return BuildProblem("")
    first = next((line for line in lines if line.strip()), "the build failed and said nothing")
    return BuildProblem(_without_folders(first).strip(), output=_cut(kept, first))


def _without_folders(text: str) -> str:
    """Text in which sources and libraries go by their names alone."""

    def short(path: re.Match[str]) -> str:
        name = path[0].rpartition("/")[2]
        return name if _KNOWN_FILE.match(name) else path[0]

    return _PATH.sub(short, text)


@dataclass(frozen=True)
class _Line:
    """A line of the generated C++ file, and its text where the compiler quoted it."""

    number: int
    text: str


def _generated_line(lines: list[str], error: int) -> _Line | None:
    """The line of the generated file that an error is about: its own, or where a header's template was used."""
    around = [error, *range(error - 1, max(-1, error - 12), -1), *range(error + 1, min(len(lines), error + 30))]
    for index in around:
        place = _PLACE.match(lines[index])
        if place and _GENERATED.search(place["file"]) and "In file included" not in lines[index]:
            return _Line(int(place["line"]), _quoted(lines[index + 1 : index + 4], int(place["line"])))
    return None


def _quoted(after: list[str], number: int) -> str:
    """The line of this number that gcc quotes in the next lines, or the one that nvcc puts over a caret."""
    quotes = (_QUOTED.match(line) for line in after)
    found = next((quote["text"] for quote in quotes if quote and int(quote["line"]) == number), "")
    return found or (after[0] if len(after) > 1 and _CARET.match(after[1]) else "")


def _candidate_line(source: str, generated: _Line) -> tuple[int, str]:
    """Number and text of the line that the generated one came from; (0, its text) where it cannot be told.

    Lines are matched by their text, since what stands before the candidate's own C++ (the runtime's includes, macros
    that the candidate computes) is not known here. Of equal lines the one about as far down its string wins.
    """
    tree = syntax.parse(source)
    if generated.text.lstrip().startswith("TVM_FFI_DLL_EXPORT"):
        # The runtime appended an export for a name in `functions` that the C++ does not define.
        calls = list(inline_builds(tree))
        return (calls[0].lineno, source.splitlines()[calls[0].lineno - 1].strip()) if calls else (0, "")
    wanted = generated.text.strip()
    rows = source.splitlines()
    expected = generated.number - _lines_before(tree)
    matches = [
        (abs(number - node.lineno - expected), number)
        for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        if wanted and _same(rows[number - 1].strip(), wanted)
    ]  # fmt: skip
    if not matches:
        return 0, wanted
    number = min(matches)[1]
    return number, wanted


def _lines_before(tree: ast.Module) -> int:
    """How many generated lines come before the candidate's string: the runtime's, and its own #defines."""
    assigned = {
        target.id: node.value
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    parameters = assigned.get("PARAMS")
    uses_tvm_ffi = any(isinstance(node, ast.Name) and node.id == "tvm_ffi" for node in ast.walk(tree))
    return (7 if uses_tvm_ffi else 2) + (len(parameters.keys) if isinstance(parameters, ast.Dict) else 0)


def _same(row: str, wanted: str) -> bool:
    """Whether a Python line is this C++ line, or holds it between the quotes of a one-line string."""
    return row == wanted or (len(wanted) > 3 and wanted in row and row.count(wanted) == 1 and row[:1] not in "#/")


def _notes(lines: list[str]) -> tuple[str, ...]:
    """The compiler's hints on the same error: up to the next one."""
    notes = []
    for line in lines:
        place = _PLACE.match(line)
        if place and _SEVERE.match(place["what"]):
            break
        if place and place["what"].startswith("note: "):
            notes.append(_without_folders(place["what"].removeprefix("note: ")))
    return tuple(notes[:5])


def _cut(output: str, first: str) -> str:
    """The output from the first error on, at most so many lines."""
    lines = output.splitlines()
    anchor = _without_folders(first)
    start = lines.index(anchor) if anchor in lines else 0
    return "\n".join(lines[start : start + _KEPT_LINES])
