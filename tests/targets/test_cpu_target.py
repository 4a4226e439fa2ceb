from __future__ import annotations

import json
import math
import os
import time

import pytest

from kernelwright.errors import MachineError
from kernelwright.judge.memory import all_stopped, descendants
from kernelwright.targets import Ceilings, floor_us
from kernelwright.targets.cpu import Cpu
from kernelwright.targets.cpu_ceilings import parse
from kernelwright.targets.cpu_facts import read_facts
from kernelwright.tasks import Argument, CaseInfo, TensorInfo

X86 = "processor\t: 0\nmodel name\t: Test CPU @ 3 GHz\nflags\t\t: fpu sse2 avx avx2 fma {extra}\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
CURVE = ((1 << 20, 2e11), (1 << 28, 2e10))
CEILINGS = Ceilings(bandwidth={"read": CURVE, "write": CURVE, "copy": CURVE}, flops={"float32": 1e11})


def damaged(curve):
    return json.dumps({"bandwidth": {"read": CURVE, "write": CURVE, "copy": curve}, "flops": {"float32": 1e11}})


def put(root, path, text):
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@pytest.mark.parametrize(
    ("cpuinfo", "simd", "vector_bytes", "unit", "model"),
    [
        (X86.format(extra=""), "avx2", 32, "", "Test CPU @ 3 GHz"),
        (X86.format(extra="avx512f amx_tile"), "avx512", 64, "", "Test CPU @ 3 GHz"),
        (X86.format(extra="avx512f amx_bf16 amx_tile"), "avx512", 64, "amx", "Test CPU @ 3 GHz"),
        (X86.replace("avx avx2", "").format(extra=""), "scalar", 8, "", "Test CPU @ 3 GHz"),
        (ARM, "neon", 16, "", "ARM implementer 0x41 part 0xd0c"),
    ],
)
def test_the_processor_is_recognised(tmp_path, cpuinfo, simd, vector_bytes, unit, model):
    put(tmp_path, "proc/cpuinfo", cpuinfo)
    facts = read_facts(tmp_path)
    assert (facts.simd, facts.vector_bytes, facts.matrix_unit, facts.model) == (simd, vector_bytes, unit, model)


def test_an_unknown_system_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(MachineError, match="not supported as a CPU target; use Linux"):
        read_facts(tmp_path)


def test_caches_are_read_and_guessed_low_where_missing(tmp_path):
    put(tmp_path, "proc/cpuinfo", X86)
    assert read_facts(tmp_path).l1_bytes == 32 << 10
    folder = "sys/devices/system/cpu/cpu0/cache"
    entries = [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "2048K"), ("3", "Unified", "36M")]
    for index, (level, kind, size) in enumerate(entries):
        for name, text in {"level": level, "type": kind, "size": size}.items():
            put(tmp_path, f"{folder}/index{index}/{name}", text + "\n")
    facts = read_facts(tmp_path)
    assert (facts.l1_bytes, facts.l2_bytes, facts.l3_bytes) == (48 << 10, 2 << 20, 36 << 20)


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        (
            "0::/pod/box\n",
            {"sys/fs/cgroup/pod/cpu.max": "150000 100000\n", "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n"},
        ),
        ("0::/elsewhere\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"}),
        (
            "3:cpu,cpuacct:/box\n1:memory:/box\n",
            {
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
            },
        ),
    ],
)
def test_the_quota_of_control_groups_limits_the_cores(tmp_path, cgroup, files):
    put(tmp_path, "proc/cpuinfo", X86)
    put(tmp_path, "proc/self/cgroup", cgroup)
    assert read_facts(tmp_path).cores == len(os.sched_getaffinity(0))
    for path, text in files.items():
        put(tmp_path, path, text)
    assert read_facts(tmp_path).cores == 1


def test_an_unlimited_version_1_group_limits_nothing(tmp_path):
    put(tmp_path, "proc/cpuinfo", X86)
    put(tmp_path, "proc/self/cgroup", "3:cpu:/\n")
    put(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    put(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert read_facts(tmp_path).cores == len(os.sched_getaffinity(0))


def test_memory_is_the_machine_s_or_the_group_s(tmp_path):
    put(tmp_path, "proc/cpuinfo", X86)
    put(tmp_path, "proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n")
    assert read_facts(tmp_path).memory_bytes == 16 << 20
    put(tmp_path, "proc/self/cgroup", "0::/box\n")
    put(tmp_path, "sys/fs/cgroup/box/memory.max", str(8 << 20))
    assert read_facts(tmp_path).memory_bytes == 8 << 20


def test_ceilings_are_the_best_of_all_rounds_and_never_rise_with_the_working_set():
    ceilings, calm = parse(
        "read 1024 3e10\nread 2048 5e10\ncopy 1024 1e10\nflops float32 1e11\nflops float64 5e10\ncalm all 0.2\n"
        "read 1024 4e10\nread 2048 2e10\nwrite 1024 9e9\nflops float32 2e11\nflops bfloat16 8e11\ncalm all 0.98\n"
    )
    assert calm
    assert ceilings.bandwidth == {
        "read": ((1024, 5e10), (2048, 5e10)),
        "write": ((1024, 9e9),),
        "copy": ((1024, 1e10),),
    }
    assert ceilings.flops == {"float32": 2e11, "float64": 5e10, "bfloat16": 8e11, "float16": 2e11}


@pytest.fixture
def measurements(tmp_path, monkeypatch):
    """A home of its own, and a list that grows with each measurement."""
    made = []
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: made.append(info) or (CEILINGS, True))
    return made


def test_what_was_measured_on_a_busy_machine_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (CEILINGS, False))
    assert Cpu().ceilings() == CEILINGS
    assert list(tmp_path.iterdir()) == []


def test_a_second_measurement_can_only_raise_the_ceilings(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    lower, higher = ((1 << 20, 1e11), (1 << 28, 3e10)), ((1 << 20, 2e11), (1 << 28, 3e10))
    second = Ceilings(bandwidth={**CEILINGS.bandwidth, "read": lower}, flops={"float32": 3e11})
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (CEILINGS, True))
    Cpu().ceilings()
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (second, True))
    again = Cpu()
    again.measure_again()
    assert again.ceilings() == Cpu().ceilings()
    assert again.ceilings().bandwidth == {**CEILINGS.bandwidth, "read": higher}
    assert again.ceilings().flops == {"float32": 3e11}


def test_what_was_just_measured_is_not_measured_again(measurements):
    target = Cpu()
    target.ceilings()
    target.measure_again()
    assert len(measurements) == 1


def test_the_machine_is_measured_once(measurements, tmp_path):
    assert Cpu().ceilings() == Cpu().ceilings() == CEILINGS
    assert len(measurements) == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"ceilings-{Cpu().info().key}.json"]


@pytest.mark.parametrize(
    "damage",
    [
        "", "{", "[]", '{"bandwidth": {}, "flops": {}}', damaged([]), damaged([[1024, 0.0]]),
        damaged([[1024, math.nan]]), damaged([[1024, 1e10], [2048, 1e10]]), damaged([[1 << 28, 1e10], [1 << 20, 1e10]]),
        json.dumps({"bandwidth": {"read": CURVE}, "flops": {"float32": 1e11}}),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_measured_again(measurements, tmp_path, damage):
    path = tmp_path / f"ceilings-{Cpu().info().key}.json"
    path.write_text(damage)
    assert Cpu().ceilings() == CEILINGS
    assert Ceilings.model_validate_json(path.read_text()) == CEILINGS


def test_no_compiler_is_an_error_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MachineError, match=r"install g\+\+"):
        Cpu().ceilings()


def test_a_failing_measurement_says_why(tmp_path, monkeypatch):
    broken = tmp_path / "compiler"
    broken.write_text("#!/bin/sh\necho 'error: disk on fire' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(MachineError, match="disk on fire"):
        Cpu().ceilings()


@pytest.mark.slow
def test_this_machine_can_be_measured(cpu):
    ceilings = cpu.ceilings()
    for curve in ceilings.bandwidth.values():
        sizes = [size for size, _ in curve]
        rates = [rate for _, rate in curve]
        assert sizes[0] == 256 << 10
        assert sizes == sorted(sizes)
        assert rates == sorted(rates, reverse=True)
        assert 1e8 < rates[-1] < 1e13
    assert ceilings.flops["float64"] < ceilings.flops["float32"]
    assert {"float32", "float64", "bfloat16", "float16"} == set(ceilings.flops)


@pytest.mark.parametrize(("read", "written"), [(1 << 20, 1 << 20), (1 << 20, 4), (0, 1 << 20), (4, 0), (0, 0)])
def test_the_floor_of_this_moment_is_measured_as_often_as_asked(tmp_path, monkeypatch, read, written):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (CEILINGS, True))
    with Cpu().floor_meter(moving(read, written), calls=3) as floor:
        assert all(0 < floor() < 1 for _ in range(3))


def test_arithmetic_bounds_the_floor_of_this_moment(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (CEILINGS, True))
    with Cpu().floor_meter(moving(4, 4, flops=10**13), calls=1) as floor:
        assert floor() == pytest.approx(1e13 / 1e11)


def test_where_memory_does_not_suffice_the_floor_is_the_rooflines(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (CEILINGS, True))
    case = moving(1 << 55, 4)
    with Cpu().floor_meter(case, calls=1) as floor:
        assert [floor(), floor()] == [pytest.approx(1e-6 * floor_us(case, CEILINGS))] * 2


def test_what_measures_the_floor_runs_only_when_asked_and_ends_with_the_measurement(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("kernelwright.targets.cpu.measure", lambda info, flags: (CEILINGS, True))
    before = set(descendants(os.getpid()))
    with Cpu().floor_meter(moving(1 << 20, 1 << 20), calls=1) as floor:
        floor()
        running = set(descendants(os.getpid())) - before
        assert len(running) == 2
        while not all(map(all_stopped, running)):  # it has been told; the test's time limit is the end of waiting
            time.sleep(0.01)
    assert set(descendants(os.getpid())) <= before


def moving(read, written, flops=0):
    tensor = TensorInfo(shape=(1,), dtype="float32", strides=(1,))
    return CaseInfo(
        name="c", role="tune", dtype=None, inputs=(Argument(tensor=tensor),), outputs=(tensor,),
        flops=flops, read_bytes=read, written_bytes=written,
    )  # fmt: skip
