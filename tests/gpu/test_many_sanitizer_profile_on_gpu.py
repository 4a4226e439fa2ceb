"""Several candidates at once on a GPU, a sanitizer that looks into one, and a profile."""

from __future__ import annotations

import asyncio

import pytest
from gpu_corpus import HERE, Arena

from kernelwright.judge.examining import sanitized
from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import SANITIZER, Verdict
from kernelwright.profile import Profile, profile
from kernelwright.proposers.base import Candidate

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]
MANY = 8
NORM = HERE / "tasks" / "rms_norm.py"
HONEST = (HERE / "honest" / NORM.name).read_text()
READS_BEYOND = HONEST.replace(
    "tl.load(weight_ptr + at, mask=inside)", "tl.load(weight_ptr + at, mask=at < 2 * features)"
).replace("BLOCK=triton", "BLOCK=2 * triton")
"""As many numbers again as the weight has; in torch's pool of memory they are somebody's."""


def triton(source: str) -> Candidate:
    return Candidate(source=source, language="triton")


def test_many_at_once_are_all_accepted_and_as_fast_as_one(arena: Arena) -> None:
    async def together(judge: Judge) -> tuple[Verdict, list[Verdict]]:
        alone = await judge.evaluate(triton(f"{HONEST}# alone\n"))
        several = (judge.evaluate(triton(f"{HONEST}# {number}\n"), brief=True) for number in range(MANY))
        return alone, list(await asyncio.gather(*several))

    alone, several = arena.with_judge(NORM, together)

    assert [verdict.message for verdict in several] == [""] * MANY
    assert alone.time_us is not None
    for verdict in several:
        assert verdict.time_us == pytest.approx(alone.time_us, rel=0.25)


def test_a_sanitizer_finds_what_no_answer_shows(arena: Arena) -> None:
    async def both(judge: Judge) -> tuple[Verdict, Verdict]:
        return await sanitized(judge, triton(HONEST)), await sanitized(judge, triton(READS_BEYOND))

    fine, beyond = arena.with_judge(NORM, both)

    assert fine.accepted
    assert fine.clean, fine.evidence[SANITIZER]
    looked = fine.evidence[SANITIZER]["memcheck"]
    assert (looked["errors"], looked["findings"]) == (0, [])
    assert beyond.accepted, "its answers are right"
    assert not beyond.clean, beyond.evidence[SANITIZER]
    assert "Invalid __global__ read" in beyond.evidence[SANITIZER]["memcheck"]["findings"][0]["what"]


def test_a_profile_has_what_launching_takes_and_what_a_kernel_takes(arena: Arena) -> None:
    async def profiled(judge: Judge) -> Profile:
        return await profile(judge, triton(HONEST))

    found = arena.with_judge(NORM, profiled).diagnosis

    assert found is not None
    facts = {fact.name: fact.value for fact in found.facts}
    assert facts["launched_us"] > 0
    assert facts["taken rms_norm_kernel"] > 0
    assert found.bound in ("memory", "launch")
