"""What a worker says of its memory is a claim: a false one is the candidate's rejection or the task's error."""

from __future__ import annotations

import errno

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, OWN, with_kernel

from kernelwright.errors import TaskError
from kernelwright.judge import memory

LIES = """
import ctypes, mmap
from kernelwright.judge import described, worker, worker_values

libc = ctypes.CDLL(None)

def lie(name, change):
    honest = next(getattr(module, name) for module in (described, worker_values) if hasattr(module, name))
    for module in (described, worker, worker_values):
        if hasattr(module, name):
            setattr(module, name, lambda *values: change(honest(*values)))

def read_only(described):
    if described.get("shape"):
        pages = mmap.mmap(-1, 1 << 20)
        ctypes.memmove(ctypes.addressof(ctypes.c_char.from_buffer(pages)), described["pointer"], 300 * 257 * 4)
        described["pointer"] = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        libc.mprotect(ctypes.c_void_p(described["pointer"]), ctypes.c_size_t(1 << 20), 1)
        kept.append(pages)
    return described

def unmap(x):
    libc.madvise(0, 0, 0)
    start = (x.data_ptr() + 4095) // 4096 * 4096
    libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(4096), 0)

kept = []
"""


def judged(bench: Bench, before: str, *body: str) -> str:
    verdict = bench.evaluate(AFFINE, LIES + before + with_kernel(*OWN, *body, "return y"))
    assert verdict.outcome == "rejected"
    return str(verdict.reason)


def test_an_output_that_cannot_be_overwritten(bench: Bench) -> None:
    assert judged(bench, "lie('describe_output', read_only)\n") == "tampering"


def test_an_input_that_is_not_there_any_more(bench: Bench) -> None:
    assert judged(bench, "", "unmap(x)") == "tampering"


def test_memory_that_nobody_may_read(bench: Bench) -> None:
    hides = "assert libc.prctl(4, 0, 0, 0, 0) == 0, 'may not hide'"

    verdict = bench.evaluate(AFFINE, LIES + with_kernel(*OWN, hides, "return y"))

    assert "may not hide" in verdict.message


def test_memory_that_the_kernel_says_nobody_may_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> bool:
        memory._explain(-1, errno.EPERM, 1)
        return True

    monkeypatch.setattr(memory, "equal", forbidden)

    assert judged(bench, "") == "tampering"


@pytest.mark.parametrize("state", ["[{}]", "[{'name': 'weight', 'shape': [257], 'pointer': 1}]"])
def test_parameters_that_are_none(bench: Bench, state: str) -> None:
    assert judged(bench, f"lie('described_state', lambda _: {state})\n") == "tampering"


@pytest.mark.parametrize("later", ["1", "None", "[]", "calls[0][0]['pointer']"])
def test_addresses_of_later_calls_that_are_none(bench: Bench, later: str) -> None:
    lies = f"lie('describe_calls', lambda calls: [*calls[:1], *({later} for _ in calls[1:])])\n"
    assert judged(bench, lies) in ("tampering", "reuses_outputs", "wrong_shape")


def test_an_address_with_nothing_said_of_it(bench: Bench) -> None:
    assert (
        judged(bench, "lie('describe_calls', lambda calls: [calls[0][0]['pointer'] for _ in calls])\n") == "tampering"
    )


PLAIN = AFFINE.replace("return torch.relu(x * self.weight + self.bias)", "return torch.relu(x * self.weight), None")


def test_a_plain_value_with_an_address_is_left_alone(bench: Bench) -> None:
    source = HONEST.replace("self.bias.detach(), y)", "torch.zeros_like(self.bias), y)").replace(
        "return y", "return y, None"
    )
    forged = "lie('describe_output', lambda d: {**d, 'pointer': 1, 'dtype': 'x'} if 'value' in d else d)\n"

    verdict = bench.evaluate(PLAIN, LIES + forged + source)

    assert verdict.accepted, verdict.message


def test_a_reference_without_float64_is_judged_by_itself(bench: Bench) -> None:
    ends = (
        "        if x.dtype == torch.float64 and type(x) is torch.Tensor:\n            exit_(9)\n        return torch"
    )
    task = "from os import _exit as exit_\n" + AFFINE.replace("        return torch", ends)

    verdict = bench.evaluate(task, HONEST)

    assert verdict.accepted, verdict.message


OTHERWISE = {
    "reads float64 as float32": "return x.view(torch.float32)[..., :257].double()",
    "writes float32 where float64 belongs": "y = torch.zeros_like(x)\n"
    "            y.view(torch.float32).view(-1)[: x.numel()] = x.view(torch.float32).reshape(-1)[: x.numel()].tanh()\n"
    "            return y",
    "leaves a fifth out": "y = torch.relu(x * self.weight + self.bias)\n"
    "            y[: len(y) // 5 + 1] = 0\n"
    "            return y",
    "gives NaN": "return x * float('nan')",
}


@pytest.mark.parametrize("otherwise", OTHERWISE.values(), ids=list(OTHERWISE))
def test_a_reference_that_answers_otherwise_in_float64_is_judged_by_itself(bench: Bench, otherwise: str) -> None:
    body = f"        if x.dtype == torch.float64:\n            {otherwise}\n        return torch"
    task = AFFINE.replace("        return torch", body)

    assert bench.evaluate(task, HONEST).accepted
    wrong, reason = ("y + float('nan')", "non_finite") if "nan" in otherwise else ("y * 1.001", "wrong_values")
    assert bench.evaluate(task, HONEST.replace("return y", f"return {wrong}")).reason == reason


def test_a_reference_that_loses_digits_is_judged_by_float64(bench: Bench) -> None:
    spread = "z = torch.relu(x * self.weight + self.bias) + 30\n        return (z * z).mean(-1) - z.mean(-1) ** 2"
    task = AFFINE.replace("return torch.relu(x * self.weight + self.bias)", spread)

    verdict = bench.evaluate(task, with_kernel(*OWN, "return y.var(-1, unbiased=False)"))

    assert verdict.accepted, verdict.message


def test_a_reference_that_breaks_the_protocol_is_the_tasks_fault(bench: Bench) -> None:
    task = "from kernelwright.judge import wire\nwire.HEADER.pack(1)\n" + AFFINE.replace(
        "def get_cases", "wire.pack = lambda message: wire.HEADER.pack(1) + b'x'\n\ndef get_cases"
    )

    with pytest.raises(TaskError, match="not JSON"):
        bench.evaluate(task, HONEST)
