"""`kernelwright calls RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kernelwright.cli.options import JsonOption
from kernelwright.cli.output import plain, print_json, show, stdout_reserved
from kernelwright.proposers.llm.call import Results

if TYPE_CHECKING:
    from kernelwright.proposers.llm.call import CallRecord, ToolCall, Turn


def command(
    record: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, or a file that `calls --json` or `task new` wrote.", show_default=False
        ),
    ],
    full: Annotated[bool, typer.Option("--full", help="With all prompts and replies.")] = False,
    json: JsonOption = False,
) -> None:
    """List the calls of language models that a run made; with --json the complete record, which can be replayed."""
    from kernelwright import api
    from kernelwright.report import tables

    with stdout_reserved():
        found = api.record(record)
    if json:
        print_json(found.to_json())
    else:
        show(tables.calls(found))
        for call in found.calls if full else ():
            print(_in_full(call))


def _in_full(call: CallRecord) -> str:
    """The texts of a call in their order, each below a line that says whose it is."""
    speakers = ("user", "assistant")
    texts = [("system", call.prompt.system)]
    texts += [(speakers[number % 2], _told(turn)) for number, turn in enumerate(call.prompt.turns)]
    if call.reply:
        texts.append(("reply", "\n".join([call.reply.text, *_calls(call.reply.calls)])))
    else:
        texts.append(("failed", f"{call.failure}: {call.detail}"))
    return "\n".join(f"\n===== call {call.number}: {who}\n{plain(text)}" for who, text in texts)


def _told(turn: Turn) -> str:
    if isinstance(turn, str):
        return turn
    if isinstance(turn, Results):
        return "\n".join([*(f"result: {result}" for result in turn.results), *filter(None, (turn.left, turn.text))])
    return "\n".join([turn.text, *_calls(turn.calls)])


def _calls(calls: Sequence[ToolCall]) -> list[str]:
    return [f"calls {call.name} {call.arguments}" for call in calls]
