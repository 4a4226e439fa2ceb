"""One conversation with the agent: what was said, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kernelwright import format as fmt
from kernelwright.proposers.agent import tools
from kernelwright.proposers.agent.supervisor import Supervisor
from kernelwright.proposers.agent.workspace import NAME, Workspace, speed
from kernelwright.proposers.base import Attempt, Candidate, Context
from kernelwright.proposers.llm import lookup, prompts
from kernelwright.proposers.llm.call import Calling, Left, Prompt, Reply, Results, ToolCall, Turn, texts_of
from kernelwright.proposers.llm.templates import Templates

FITS = 300_000
"""Characters of a conversation: 75,000 tokens or so, which nearly all models that can work with tools take."""
_DIRECTIONS = 2
"""Times that the supervisor steps in, without a commit in between, before the conversation is given up."""
_DROPPED = "(dropped, to make room; call the tool again if you need it)"
_KEPT = ("task", "guide")
"""Tools whose results are never dropped: they would be asked for again at once."""
_NO_CALL = "Nothing happened: you work by calling tools."
_MOST_SAID = 20_000
_PASSAGES = 20


class Session:
    """A conversation that begins at a version of the run, or at nothing.

    Life cycle: made anew, or by `resumed` from what was recorded; then in turn `prompt` for the model's next reply,
    `call` for each tool that it calls (and `judged` where that gives a candidate), and `answered` with all results,
    until `over` says that another conversation should begin.
    """

    def __init__(self, context: Context, start: Attempt | None, templates: Templates) -> None:
        self.workspace, self.over = Workspace(context, start, templates), False
        self._context, self._base = context, (start.id,) if start else ()
        self._supervisor = Supervisor(speed(start))
        self._templates = templates
        self._turns: list[Turn] = [self._filled("opening", start=start and self._shown(start))]
        self._suggested = {*self._base}
        self._fits = FITS

    @classmethod
    def resumed(cls, context: Context, prompt: Prompt, templates: Templates) -> Session | None:
        """The conversation that a recorded prompt belongs to, as it was then; None where it began at a version that
        the run does not have."""
        start = context.history.find(prompt.base[0]) if prompt.base else None
        if prompt.base and start is None:
            return None
        session = cls(context, start, templates)
        for said, asked in zip(prompt.turns[1::2], prompt.turns[2::2], strict=True):
            session._supervisor.replied()
            for call in said.calls if isinstance(said, Calling) else ():
                session.call(call)
            if isinstance(asked, Results) and asked.text:
                session._supervisor.redirected()
        session._turns = list(prompt.turns)
        return session

    @property
    def begun(self) -> bool:
        """Whether the model has said anything."""
        return len(self._turns) > 1

    def prompt(self) -> Prompt:
        """What the model is asked next."""
        language = prompts.language(self._context)
        system = self._filled("system", language=language)
        return Prompt(system, tuple(self._turns), NAME, self._templates.version, self._base, tools.offered())

    def call(self, call: ToolCall) -> str | Candidate:
        """The result of a call, or a candidate that the run does not know yet and that is to be judged first."""
        commits = self.workspace.commits
        result = tools.apply(call, self.workspace)
        if isinstance(result, Candidate) and (known := self.workspace.known(result)):
            result = self.judged(known)
        if self.workspace.commits > commits:
            self._supervisor.committed()
        if isinstance(result, str):
            self._supervisor.returned(call.name, call.arguments, result)
        return result

    def judged(self, attempt: Attempt) -> str:
        """The result of a call that gave a candidate."""
        self._supervisor.judged(attempt)
        return self.workspace.judged(attempt)

    def answered(self, reply: Reply, results: Sequence[str]) -> None:
        """Takes a reply with the results of its calls; the supervisor may add a direction, or end the conversation."""
        self._supervisor.replied()
        if not reply.calls:
            self._supervisor.returned("")
        direction = ""
        if stalled := self._supervisor.stalled():
            self._supervisor.redirected()
            self.over = self._supervisor.directions > _DIRECTIONS
            direction = self._filled("direction", stalled=stalled, **self._direction())
        if reply.calls:
            self._turns += [reply.turn, Results(tuple(results), direction, self._left())]
        else:
            self._turns += [reply.text.strip()[:_MOST_SAID], direction or _NO_CALL]
        if self._size() > self._fits:
            self._make_room()
            self.over |= self._size() > self._fits

    def too_long(self) -> bool:
        """The model cannot take what it is asked: makes room, now and before it comes to that again. False where there
        is nothing to drop."""
        self._fits = self._size() - 1
        return self._make_room()

    def _make_room(self) -> bool:
        """Drops the oldest results of tools until there is room for as much again; says whether any could go. Many at
        once, since what a provider has cached of a conversation ends at the first change."""
        dropped = False
        for at, number in list(self._droppable()):
            if self._size() <= self._fits // 2:
                break
            turn = self._turns[at]
            assert isinstance(turn, Results)
            kept = (*turn.results[:number], _DROPPED, *turn.results[number + 1 :])
            self._turns[at], dropped = Results(kept, turn.text), True
        return dropped

    def _size(self) -> int:
        return sum(len(text) for turn in self._turns for text in texts_of(turn))

    def _droppable(self) -> Iterator[tuple[int, int]]:
        """Results that may go, oldest first: turn and place. Those of the last turn the model has not seen yet."""
        for at in range(1, len(self._turns) - 2, 2):
            said, asked = self._turns[at], self._turns[at + 1]
            if isinstance(said, Calling) and isinstance(asked, Results):
                for number, call in enumerate(said.calls):
                    if call.name not in _KEPT and len(asked.results[number]) > len(_DROPPED):
                        yield at + 1, number

    def _left(self) -> str:
        """What is left until the agent is stopped; empty where nothing bounds it."""
        context = self._context
        calls = context.models.left if context.models else Left()
        bounds = [each for each in (calls.seconds, context.seconds_left()) if each is not None]
        left = {
            "replies": calls.calls,
            "verdicts": context.evaluations_left(),
            "tokens": calls.tokens,
            "usd": calls.usd,
            "time": fmt.seconds(min(bounds)) if bounds else None,
        }
        return self._filled("left", **left) if any(each is not None for each in left.values()) else ""

    def _direction(self) -> dict[str, Any]:
        """Where to go instead: in turn another's version and something that is known, each of them once."""
        ways = [self._others(), self._passages()]
        found: dict[str, Any] = {"version": None, "passage": None}
        for way in ways if self._supervisor.directions % 2 else reversed(ways):
            for key, value in way:
                if key not in self._suggested:
                    self._suggested.add(key)
                    return found | value
        return found

    def _others(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What others than the agent have written, the fastest first."""
        for attempt in sorted(self._context.history, key=speed, reverse=True):
            if attempt.candidate.proposer != NAME:
                yield attempt.id, {"version": self._shown(attempt)}

    def _passages(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is known about the task's operations, best first."""
        for passage in lookup.passages(self._context, _PASSAGES):
            yield f"{passage.name} {passage.heading}", {"passage": passage}

    def _shown(self, attempt: Attempt) -> dict[str, str]:
        candidate = attempt.candidate
        return {
            "id": attempt.id,
            "proposer": candidate.proposer,
            "note": candidate.note,
            "source": candidate.source.strip("\n"),
            "summary": self.workspace.summary(attempt),
            "told": self.workspace.told(attempt),
        }

    def _filled(self, name: str, **values: Any) -> str:
        return self._templates.render(f"{NAME}.{name}.md.j2", values).strip()
