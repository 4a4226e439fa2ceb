"""How many warps a multiprocessor holds, beside what the hardware's own tools say of known kernels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.targets.occupancy import MULTIPROCESSORS, occupancy


@pytest.mark.parametrize(
    ("arch", "registers", "shared_bytes", "warps", "share"),
    [
        # torch's softmax on an H200: two blocks by registers, and two by warps, as Nsight Compute counts.
        ("sm_90", 32, 1152, 32, 1.0),
        ("sm_90", 128, 0, 8, 0.25),
        ("sm_90", 255, 0, 4, 0.125),
        ("sm_90", 32, 200 << 10, 8, 0.125),
        ("sm_90", 32, 228 << 10, 8, 0.0),
        ("sm_86", 64, 0, 8, 2 / 3),
        ("sm_80", 16, 0, 1, 0.5),
    ],
)  # fmt: skip
def test_known_kernels(arch: str, registers: int, shared_bytes: int, warps: int, share: float) -> None:
    assert occupancy(arch, registers, shared_bytes, warps) == pytest.approx(share)


@given(
    arch=st.sampled_from(sorted(MULTIPROCESSORS)),
    registers=st.integers(1, 255),
    shared=st.integers(0, 1 << 18),
    warps=st.integers(1, 32),
)
def test_taking_more_never_fills_more(arch: str, registers: int, shared: int, warps: int) -> None:
    share = occupancy(arch, registers, shared, warps)
    assert share is not None
    assert 0 <= share <= 1
    for more in (occupancy(arch, registers + 8, shared, warps), occupancy(arch, registers, shared + 1024, warps)):
        assert more is not None
        assert more <= share


def test_what_is_not_known_is_not_guessed() -> None:
    assert occupancy("sm_37", 32, 0, 4) is None
