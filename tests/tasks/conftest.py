from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from kernelwright.tasks import host

Make = Callable[..., host.Reference]

MODEL = """
import torch
from torch import nn
"""


def source(text: str) -> dict:
    return {
        "kind": "kernelbench",
        "text": text,
        "filename": "task.py",
        "entry": "Model",
        "search_path": [],
        "inputs": [],
        "backward": False,
    }


@pytest.fixture
def traffic() -> Callable[[host.Reference], tuple[int, int]]:
    """Bytes that the first case reads and writes at least."""

    def first(reference: host.Reference) -> tuple[int, int]:
        case = reference.describe()["cases"][0]
        return case["read_bytes"], case["written_bytes"]

    return first


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The tensors of these tests are tiny: threads would cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def load_text() -> Callable[[str], host.Reference]:
    """Loads a task from a whole file's text."""
    return lambda text: host.Reference(source(text))


@pytest.fixture
def make() -> Make:
    """Loads a task from a forward's body, its constructor's, the expression of its inputs, and more lines."""

    def _make(
        body: str = "return x", inputs: str = "torch.rand(4, 8)", *, init: str = "pass", rest: str = ""
    ) -> host.Reference:
        text = (
            f"{MODEL}\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n"
            f"    def forward(self, x, *more):\n        {body}\ndef get_inputs():\n    return [{inputs}]\n{rest}"
        )
        return host.Reference(source(text))

    return _make
