"""What compute-sanitizer says, read."""

from __future__ import annotations

from textwrap import dedent

from kernelwright.targets.cuda_examiners import Sanitizer

FAULTS = dedent("""
    ========= COMPUTE-SANITIZER
    ========= Invalid __global__ write of size 4 bytes
    =========     at shift_kernel+0x1d0 in kernel.py:12
    =========     by thread (96,0,0) in block (3,0,0)
    =========     Access at 0x7f1c0a000400 is out of bounds
    =========     and is 1 bytes after the nearest allocation at 0x7f1c0a000000 of size 1,024 bytes
    =========     Saved host backtrace up to driver entry point at kernel launch time
    =========         Host Frame: cuLaunchKernelEx [0x3a1234] in libcuda.so.1
    =========
    ========= Program hit unspecified launch failure (error 719) on CUDA API call to cuStreamSynchronize.
    =========     Saved host backtrace up to driver entry point at error
    ========= Target application returned an error
    ========= ERROR SUMMARY: 2 errors
    """)


def test_errors_are_counted_and_the_first_lines_of_each_kept() -> None:
    found = Sanitizer("memcheck").read(FAULTS)

    assert found["errors"] == 2
    assert [each["what"] for each in found["findings"]] == [
        "Invalid __global__ write of size 4 bytes",
        "Program hit unspecified launch failure (error 719) on CUDA API call to cuStreamSynchronize.",
    ]
    assert found["findings"][0]["where"][0] == "at shift_kernel+0x1d0 in kernel.py:12"


def test_nothing_found_is_not_the_same_as_not_come_to_an_end() -> None:
    clean = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"
    assert Sanitizer("memcheck").read(clean) == {"errors": 0, "findings": []}
    assert Sanitizer("memcheck").read("========= COMPUTE-SANITIZER\n") == {"errors": None, "findings": []}
    hazards = "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n"
    assert Sanitizer("racecheck").read(hazards)["errors"] == 0
