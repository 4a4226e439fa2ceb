"""What NVIDIA's programs say, read."""

from __future__ import annotations

from textwrap import dedent

from kernelwright.targets.cuda_examiners import NsightCompute, Sanitizer

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
COUNTS = dedent("""
    ==PROF== Connected to process 713 (/usr/bin/python3.12)
    ==PROF== Profiling "softmax_kernel" - 0: 0%....50%....100% - 2 passes
    "ID","Process ID","Process Name","Kernel Name","Metric Name","Metric Unit","Metric Value"
    "0","713","python","void at::native::fill_kernel<4>(int)","gpu__time_duration.sum","ns","3,100"
    "1","713","python","softmax_kernel(float *)","gpu__time_duration.sum","ns","55,200"
    "1","713","python","softmax_kernel(float *)","dram__throughput.avg.pct_of_peak_sustained_elapsed","%","42.5"
    "2","713","python","softmax_kernel(float *)","gpu__time_duration.sum","ns","4,800"
    "2","713","python","softmax_kernel(float *)","dram__throughput.avg.pct_of_peak_sustained_elapsed","%","1"
    ==PROF== Disconnected from process 713
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


def test_counters_are_those_of_its_own_kernels_longest_run() -> None:
    found = NsightCompute().read(COUNTS)

    assert list(found["kernels"]) == ["softmax_kernel"]
    kernel = found["kernels"]["softmax_kernel"]
    assert kernel["calls"] == 2
    assert abs(kernel["seconds"] - 60e-6) < 1e-12
    assert kernel["dram_share"] == 0.425


def test_that_there_are_no_counters_is_said_in_its_own_words() -> None:
    refused = "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters"
    assert "ERR_NVGPUCTRPERM" in NsightCompute().read(refused)["problem"]
    assert NsightCompute().read("")["problem"] == "it saw no kernel"
