"""The judge on a GPU: honest candidates are accepted, cheats are not believed, and the device is well after each."""

from __future__ import annotations

import pytest
from gpu_corpus import Arena, Entry, entries

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]
HONEST, CHEATS = entries("honest"), entries("cheats")


@pytest.mark.parametrize("entry", HONEST, ids=[entry.name for entry in HONEST])
def test_an_honest_kernel_is_accepted_with_what_it_stands_on(arena: Arena, entry: Entry, record_property):
    verdict = arena.judge(entry.task, entry.source, language=entry.language)
    record_property("verdict", verdict.model_dump_json())
    assert verdict.accepted, verdict.message
    assert verdict.proof is not None and "odd" in verdict.proof.cases
    assert "NVIDIA" in verdict.proof.device
    assert verdict.evidence["resources"] and verdict.evidence["kernels"]
    assert verdict.coverage is not None and 0.5 < verdict.coverage <= 1
    low, high = verdict.speedup_ci or (0.0, 0.0)
    assert 0 < low <= (verdict.speedup or 0) <= high
    assert 0 < (verdict.floor_share or 0) < 1.35
    slowest, fastest = verdict.evidence["conditions"][verdict.timings[0].case]["clock_mhz"]
    assert 100 <= slowest <= fastest <= 4000
    assert not verdict.timings[0].disturbed


@pytest.mark.parametrize("entry", CHEATS, ids=[entry.name for entry in CHEATS])
def test_a_cheat_is_not_believed_and_leaves_the_device_well(arena: Arena, entry: Entry, record_property):
    outcome = arena.cheat(entry)
    record_property("verdict", arena.last.model_dump_json())
    assert outcome in entry.expect, (outcome, arena.last.message, arena.last.speedup)
    verdict = arena.judge(entry.task, entry.counterpart, language=entry.language, brief=True)
    assert verdict.accepted, verdict.message
