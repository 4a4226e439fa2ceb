"""What the servers' tests share: a task, a candidate for it, programs that run beside the test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TASK = """\
import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x) * 2 + 1


def get_inputs():
    return [torch.randn(256, 512)]


def get_init_inputs():
    return []


def get_cases():
    return [{"name": "secret", "role": "held_out", "inputs": lambda: [torch.randn(7, 333)]}]
"""

KERNEL = '''\
import torch
import tvm_ffi.cpp
from torch import nn

CPP = r"""
void double_relu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
#pragma omp simd  // on one core: a team's time depends on who else is on the machine
  for (int64_t i = 0; i < n; ++i) out[i] = (in[i] > 0 || in[i] != in[i] ? in[i] : 0) * 2 + 1;
}
"""
kernels = tvm_ffi.cpp.load_inline(
    "double_relu",
    cpp_sources=CPP,
    functions=["double_relu"],
    extra_cflags=["-O3", "-march=native", "-fopenmp-simd"],
)


class ModelNew(nn.Module):
    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        kernels.double_relu(x, y)
        return y
'''


class Program:
    """`kernelwright ARGUMENTS` in a process of its own; `said` is what it wrote to stderr so far."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kernelwright.cli", *map(str, arguments)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def expect(self, pattern: str, seconds: float = 60) -> Any:
        """Waits until stderr has the pattern; the match."""
        with self._more:
            assert self._more.wait_for(lambda: re.search(pattern, self.said), seconds), self.said
        return re.search(pattern, self.said)

    def end(self, number: int) -> int:
        """Sends a signal; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.said += line
                self._more.notify_all()


@contextmanager
def program(*arguments: object, **environment: str) -> Iterator[Program]:
    """Runs the program until the block ends."""
    running = Program(*arguments, **environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


def task_folder(path: Path) -> Path:
    """A folder with a task, beside a secret that it links to."""
    folder = path / "tasks"
    (folder / "deeper").mkdir(parents=True)
    (folder / "relu.py").write_text(TASK)
    (folder / "deeper" / "relu.py").write_text(TASK)
    (folder / "inside.py").symlink_to(folder / "relu.py")
    (path / "secret.py").write_text(TASK + "# 0dd5ecre7\n")
    (folder / "linked.py").symlink_to(path / "secret.py")
    (folder / "out").symlink_to(path)
    (folder / "circle.py").symlink_to(folder / "circle.py")
    (folder / "notes.txt").write_text("0dd5ecre7")
    (folder / "huge.py").write_text(TASK + "#" * (2 << 20))
    os.mkfifo(folder / "pipe.py")
    return folder
