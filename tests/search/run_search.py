"""A search in a process of its own, to be killed. Prints the run's name, then a line a verdict, then how it ended."""

from __future__ import annotations

import asyncio
import sys

from kw_scripted import ScriptedJudge, make_task

from kernelwright.errors import KernelwrightError
from kernelwright.search import Settings, events, search
from kernelwright.store import Store


def say(event: events.Event) -> None:
    if isinstance(event, events.Started):
        print(f"run {event.run}", flush=True)
    if isinstance(event, events.Evaluated):
        print(f"shown {event.node.id}", flush=True)


def main() -> int:
    proposer, evaluations, resume = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or [None])[0]
    settings = Settings(
        target="scripted", proposers=(proposer,), evaluations=evaluations, seed=3, patience=10_000, budget_s=100
    )
    try:
        store = Store()
        result = asyncio.run(
            search(make_task(), settings, store, judge_factory=ScriptedJudge, listener=say, resume=resume)
        )
    except KernelwrightError as error:
        print(f"error {error}", flush=True)
        return error.exit_code
    print(f"stopped {result.stopped} {result.outcome}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
