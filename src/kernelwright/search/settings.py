"""What a search can be told, and the one place of defaults."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from kernelwright.proposers.llm.config import Configuration
from kernelwright.targets import default_language


class Settings(BaseModel):
    """The settings of a search. They are stored with the run, so that it can be resumed. Without a `language` it is the
    target's, which has to be registered (`UsageError`).

    `budget_s` bounds the wall time of search and final comparison together (None: no bound; a search that has no kernel
    by then goes on for as long again, 60 s at most), `evaluations` the number of candidates, `patience` the verdicts in
    a row without a new best. `proposers` start in this order; those that are scaffolds ask the language models
    `models`, or in their place the record of calls `replay` (a run's name, or the whole path of a file), with templates
    from the folders `prompts` in turn (none: those that ship). The same `seed` with the same verdicts and replies in
    the same order gives the same candidates; None draws one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = "cpu"
    language: str = Field(default_factory=lambda chosen: default_language(chosen["target"]))
    proposers: tuple[str, ...] = ("catalogue", "compiler", "tuner")
    models: Configuration | None = None
    replay: str | None = None
    prompts: tuple[str, ...] = ()
    policy: str = "evolve"
    budget_s: float | None = Field(default=60.0, gt=0)
    evaluations: int | None = Field(default=None, ge=1)
    patience: int = Field(default=40, ge=1)
    seed: int | None = Field(default=None, ge=0)
