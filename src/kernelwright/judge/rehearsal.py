"""Calls of forward that nobody looks at: what is loaded, compiled or built by the first call is there for the next."""

from __future__ import annotations

import numpy as np

from kernelwright.judge.answer import Inputs
from kernelwright.judge.candidate import LOAD_TIMEOUT, CandidateSide
from kernelwright.judge.tensors import Claim
from kernelwright.tasks import CaseInfo


def rehearse(side: CandidateSide, case: CaseInfo, calls: int = 1, timeout: float = LOAD_TIMEOUT) -> None:
    """Makes the model and calls forward so many times in a row, on blank inputs of a case: room for as many inputs and
    results is there afterwards, too. Raises `Rejection`."""
    side.construct(case, timeout)
    blank = _blank(case)
    side.bind(blank, calls)
    side.rehearse([blank] * calls)


def _blank(case: CaseInfo) -> Inputs:
    """Zeros for a case's tensors: valid as class numbers and indices too."""
    arguments = tuple(
        {"tensor": argument.tensor.model_dump(mode="json")} if argument.tensor else {"value": argument.value}
        for argument in case.inputs
    )
    claims = [Claim.parse({**item["tensor"], "pointer": 0}) if "tensor" in item else None for item in arguments]
    return Inputs(arguments, tuple(np.zeros(claim.span_bytes, np.uint8) if claim else None for claim in claims))
