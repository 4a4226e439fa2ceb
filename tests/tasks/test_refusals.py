from __future__ import annotations

from collections.abc import Callable

import pytest

from kernelwright.tasks import host

Make = Callable[..., host.Reference]
BODY, INIT, INPUTS = 10, 8, 12
"""Lines of the generated file where these stand."""


def refusal(action: Callable[[], object]) -> host.HostError:
    with pytest.raises(host.HostError) as refused:
        action()
    assert refused.value.remedy
    assert "\n" not in refused.value.message
    return refused.value


@pytest.mark.parametrize(
    ("arguments", "kind", "line", "says"),
    [
        ({"body": "raise ValueError('no')"}, "forward", BODY, "ValueError: no"),
        ({"body": "return x @ x"}, "forward", BODY, "RuntimeError"),
        ({"body": "return self.forward(x)"}, "forward", BODY, "RecursionError"),
        ({"body": "return x, 3"}, "unsupported", 0, "returns a int"),
        ({"body": "import sys; sys.exit(3)"}, "forward", BODY, "sys.exit"),
        ({"body": "return x.cuda()"}, "forward", BODY, "device cuda"),
        ({"init": "raise KeyError(7)"}, "init", INIT, "KeyError"),
        ({"inputs": "torch.rand(4, 8, device='cuda')"}, "inputs", INPUTS, "device cuda"),
        ({"inputs": "torch.rand(4, 8).cuda()"}, "inputs", INPUTS, "device cuda"),
        ({"inputs": "object()"}, "unsupported", 0, "input 0"),
        ({"inputs": "[torch.rand(3)]"}, "unsupported", 0, "input 0"),
        ({"inputs": "1 / 0"}, "inputs", INPUTS, "ZeroDivisionError"),
        ({"rest": "def get_inputs(): return 3"}, "inputs", 0, "returns a int"),
        ({"rest": "def get_inputs(): return torch.rand(3)"}, "inputs", 0, "returns a torch.Tensor"),
        ({"rest": "def get_init_inputs(): return 3"}, "init", 0, "returns a int"),
        ({"rest": "def get_init_inputs(): return [object()]"}, "unsupported", 0, "type object"),
    ],
)
def test_what_goes_wrong_is_named_with_its_line(make: Make, arguments: dict, kind: str, line: int, says: str) -> None:
    error = refusal(make(**arguments).describe)
    assert (error.kind, error.line) == (kind, line)
    assert says in error.message


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("import os\nx = (", 2, "syntax error"),
        ("import sys\nsys.exit(1)\n", 2, "sys.exit"),
        ("def f():\n    f()\nf()\n", 2, "RecursionError"),
        ("\nimport no_such_module_anywhere\n", 2, "no_such_module_anywhere, which is not installed"),
        ("raise StopIteration\n", 1, "StopIteration"),
        ("x = 1\n", 0, "defines no Model"),
        ("Model = 3\n", 0, "Model is a int"),
        ("from torch import nn\nclass Model(nn.Module): pass\n", 0, "no get_inputs()"),
        ("\0", 0, "null bytes"),
        ("x = [0] * (1 << 60)", 1, "out of memory"),
    ],
)
def test_modules_that_do_not_load(load_text: Callable[[str], host.Reference], text: str, line: int, says: str) -> None:
    error = refusal(lambda: load_text(text))
    assert says in error.message
    assert error.line == line
    assert error.kind in ("load", "memory")


@pytest.mark.parametrize(
    "cases",
    [
        "3",
        "[3]",
        "[{'name': 'a'}]",
        "[{'name': 'a', 'inputs': get_inputs, 'role': 'best'}]",
        "[{'name': 'a', 'inputs': get_inputs, 'dtype': 'int8'}]",
        "[{'name': 'a', 'inputs': get_inputs, 'dtype': []}]",
        "[{'name': 'a', 'inputs': get_inputs, 'shape': 3}]",
        "[{'name': 'a', 'inputs': get_inputs}, {'name': 'a', 'inputs': get_inputs}]",
        "[{'name': 'default', 'inputs': get_inputs}]",
        "1 / 0",
    ],
)
def test_wrong_cases(make: Make, cases: str) -> None:
    assert refusal(lambda: make(rest=f"def get_cases(): return {cases}")).kind == "inputs"


def test_a_case_that_does_not_exist(make: Make) -> None:
    assert "default" in refusal(lambda: make().draw("other", 0)).remedy


def test_a_source_can_be_inspected(make: Make) -> None:
    import inspect

    model = make("return x * 3").model(0, "default")
    assert "return x * 3" in inspect.getsource(type(model))
