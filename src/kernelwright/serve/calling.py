"""Calls of tools as people write them into a file: what is offered, how it is shown, how a call is read."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

_OPEN = re.compile(r"(`{3,})call +([A-Za-z0-9_.-]{1,64})\s*")
_HOW = """\
# tools

Nothing is done but by calls of tools, as many in a reply as you like. A call is a block of code whose first line is
`call` and the tool's name, with more backticks where the text holds three. In it are the arguments as JSON; or nothing,
where there are none; or, where the tool needs a text and nothing else, that text as it is:

```call NAME
...
```
"""


class Function(BaseModel):
    """A tool that may be called; `parameters` is the JSON schema of its arguments."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str = ""
    parameters: dict[str, Any] = {}

    @property
    def only_text(self) -> str | None:
        """The argument that may be written as it is: the only one that is needed, if it is a text."""
        needed, known = self.parameters.get("required"), self.parameters.get("properties")
        if not (isinstance(needed, list) and len(needed) == 1 and isinstance(known, dict)):
            return None
        only = known.get(needed[0])
        return str(needed[0]) if isinstance(only, dict) and only.get("type") == "string" else None


class Offer(BaseModel):
    """A tool of a request."""

    type: Literal["function"]
    function: Function


class Called(BaseModel):
    """Name and arguments (JSON) of a call."""

    name: str
    arguments: str


class Call(BaseModel):
    """A call that a message of the conversation made."""

    id: str
    function: Called


@dataclass(frozen=True)
class Answer:
    """A reply as it is sent: its text, and the calls in it."""

    text: str
    calls: tuple[Called, ...] = ()


def shown(offers: Sequence[Offer]) -> str:
    """The tools as whoever answers reads of them."""
    tools = (each.function for each in offers)
    listed = (f"## {each.name}\n\n{each.description}\n\nArguments: `{json.dumps(each.parameters)}`" for each in tools)
    return "\n\n".join([_HOW.strip(), *listed])


def block(called: Called, offers: Sequence[Offer]) -> str:
    """A call as it is shown in the conversation, the way it could have been written."""
    only = next((each.function.only_text for each in offers if each.function.name == called.name), None)
    given = _object(called.arguments)
    text = given[only] if only and given and list(given) == [only] else None
    text = text if isinstance(text, str) else called.arguments
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    return f"{ticks}call {called.name}\n{text}\n{ticks}"


def read(reply: str, offers: Sequence[Offer]) -> Answer:
    """A reply's text and calls. A block that does not end is text, and so is all where nothing is offered."""
    known = {offer.function.name: offer.function for offer in offers}
    lines = reply.split("\n")
    fences = _fences(lines)
    text, calls, at = list[str](), list[Called](), 0
    while at < len(lines):
        opened = _OPEN.fullmatch(lines[at]) if known else None
        ends = fences.get(opened[1], []) if opened else []
        end = bisect_right(ends, at)
        if opened is None or end == len(ends):
            text.append(lines[at])
            at += 1
            continue
        name, body = opened[2], "\n".join(lines[at + 1 : ends[end]])
        calls.append(Called(name=name, arguments=_arguments(body, known.get(name))))
        at = ends[end] + 1
    return Answer("\n".join(text).strip(), tuple(calls))


def _fences(lines: Sequence[str]) -> dict[str, list[int]]:
    """The lines that are nothing but backticks, by these."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        ticks = line.strip()
        if ticks and not ticks.strip("`"):
            found.setdefault(ticks, []).append(number)
    return found


def _arguments(body: str, tool: Function | None) -> str:
    """The arguments that a block holds, as JSON where they can be understood."""
    only = tool.only_text if tool else None
    if not body.strip():
        return json.dumps({only: ""} if only else {})
    return json.dumps({only: body}) if only and _object(body) is None else body


def _object(text: str) -> dict[str, Any] | None:
    """What a JSON text says, if it is an object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
