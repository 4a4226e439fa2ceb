from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from kernelwright.errors import TaskError
from kernelwright.tasks import Task, host
from kernelwright.tasks.host_specs import draw, parse

Traffic = Callable[[host.Reference], tuple[int, int]]


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("float32[4,8]", (4, 8), torch.float32),
        ("4x8", (4, 8), torch.float32),
        ("float16[3]", (3,), torch.float16),
        ("bfloat16[2, 3, 4]<1", (2, 3, 4), torch.bfloat16),
        ("float32[]", (), torch.float32),
        ("float32[0,4]", (0, 4), torch.float32),
        ("int64[32]<10", (32,), torch.int64),
        ("bool[5,5]", (5, 5), torch.bool),
    ],
)
def test_tensor_specifications(text: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = draw(parse(text))
    assert (tuple(tensor.shape), tensor.dtype) == (shape, dtype)
    if "<" in text:
        assert bool((tensor >= 0).all())
        assert bool((tensor <= float(text.partition("<")[2])).all())


@pytest.mark.parametrize(
    ("text", "value"), [("-1", -1), ("0.5", 0.5), ("None", None), ("(2, 3)", (2, 3)), ("'tanh'", "tanh")]
)
def test_plain_values(text: str, value: object) -> None:
    assert draw(parse(text)) == value


@pytest.mark.parametrize(
    "text", ["", "float33[3]", "float32[3", "int64[3]", "int64[3]<0", "__import__('os')", "4x", "f()", "3 4"]
)
def test_wrong_specifications_are_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(TaskError, match="write"):
        Task.load("torch.nn.functional:gelu", inputs=(text,))


def test_a_function_of_torch_with_one_specification(traffic: Traffic) -> None:
    task = Task.load("torch.nn.functional:gelu", inputs=("float32[64,32]",))
    reference = host.Reference(task.source.model_dump(mode="json"))
    (x,) = reference.draw("default", 0)
    assert torch.equal(reference.forward(reference.model(0, "default"), [x]), torch.nn.functional.gelu(x))
    assert traffic(reference) == (64 * 32 * 4, 64 * 32 * 4)
    graph = reference.export("default")
    assert graph is not None
    assert [node["target"] for node in graph["nodes"] if node["op"] == "call"] == ["aten.gelu.default"]


def test_a_function_with_a_plain_argument() -> None:
    task = Task.load("torch.nn.functional:softmax", inputs=("8x16", "-1"))
    case = host.Reference(task.source.model_dump(mode="json")).describe()["cases"][0]
    assert case["inputs"][1] == {"tensor": None, "value": -1}
