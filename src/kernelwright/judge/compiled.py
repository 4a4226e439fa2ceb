"""What torch.compile makes of the task: the compiler's own output, and a contestant of the final comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kernelwright.errors import TaskError
from kernelwright.judge.allowed import NICENESS
from kernelwright.judge.pools import Reference
from kernelwright.judge.process import Worker
from kernelwright.judge.reference import ReferenceSide
from kernelwright.judge.rejection import WorkerFailure

COMPILE_TIMEOUT = 300.0


@dataclass(frozen=True)
class Compiled:
    """The source that torch.compile wrote, or None and the problem; the worker that holds what it compiled."""

    source: str | None
    problem: str
    worker: Worker | None = None

    def contestant(self, reference: ReferenceSide, limit: float | None) -> Reference | None:
        """It as one that is timed, each call within `limit` seconds; None where there is none, or no longer."""
        if self.worker is None or self.worker.closed:
            return None
        found = Reference(self.worker, reference, call_timeout=COMPILE_TIMEOUT if limit is None else limit)
        found.compiled = True
        return found


def compile_task(worker: Worker, reference: ReferenceSide, cache: Path, shared: Path | None) -> Compiled:
    """Has torch.compile compile the task for all cases that are shown, in a worker that may start compilers."""
    cases = [case.name for case in reference.info.shown.cases]
    how = {"cache_dir": str(cache), "shared": str(shared or ""), "niceness": NICENESS}
    try:
        reference.load_into(worker)
        reply = worker.call("compiled", COMPILE_TIMEOUT, cases=cases, seed=reference.state_seed, **how)
    except (*WorkerFailure, TaskError) as error:
        worker.close()
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Compiled(None, f"torch.compile failed: {said}")
    return Compiled(reply["source"], str(reply.get("problem", "")), worker)
