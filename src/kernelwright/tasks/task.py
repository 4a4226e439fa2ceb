"""The task: a reference computation as it is handed to the judge. It holds code but never runs it."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from kernelwright import syntax
from kernelwright.tasks.info import Data, Role

if TYPE_CHECKING:
    from torch import nn


class Case(Data):
    """One named way to draw inputs: `tune` is timed, `check` only compared, `held_out` shown to no proposer."""

    name: str
    role: Role = "tune"


class Tolerance(Data):
    """How far from float64 an output may be, beyond what honest arithmetic in the task's dtype leaves.

    By default nothing beyond it. `allow_tf32` accepts products of rounded inputs (11 bits); `relative` replaces
    the judge's bound by this error relative to the output's magnitude.
    """

    allow_tf32: bool = False
    relative: float | None = Field(default=None, gt=0)


class TaskSource(Data):
    """Where the reference comes from, complete enough to load it in another process, today or when a run is resumed.

    `kernelbench`: `text` is the module's source, `entry` the class in it. `import`: `text` is empty, `entry` is
    `package.module:name` and `search_path` says where to import from. `pickle`: `text` is base64 of a cloudpickle of
    `(module, sketches of its example inputs)`. `inputs` are specifications such as `float32[4096,4096]` (see
    `tasks/host_specs.py`), which take the place of the inputs that the source draws. `imports` is a digest of the code
    outside `text` that it stands on. With `backward` a call goes forward and back (`tasks/host_backward.py`).
    """

    kind: Literal["kernelbench", "import", "pickle"]
    text: str
    filename: str
    entry: str = "Model"
    search_path: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    imports: str = ""
    backward: bool = False


class Task(Data):
    """The computation to speed up. Build one with `load` or `from_module`; `id` is a hash of its content."""

    name: str
    source: TaskSource
    tolerance: Tolerance = Tolerance()
    strict: bool = False
    """Whether candidates that call the library beside their own kernels are refused."""

    @property
    def id(self) -> str:
        """16 hex digits that change when anything that matters for a verdict changes (its name and place do not)."""
        source = self.source.model_dump_json(exclude={"filename", "search_path", "backward"})
        marks = " strict" * self.strict + " backward" * self.source.backward
        content = f"{source}{self.tolerance.model_dump_json()}{marks}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def reference(self) -> str:
        """The source as proposers may see it, without `get_cases`; empty where the task is not a text."""
        if self.source.kind != "kernelbench":
            return ""
        tree = syntax.parse(self.source.text)
        secret = {
            line
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name == "get_cases"
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        lines = enumerate(self.source.text.splitlines(keepends=True), start=1)
        return "".join(line for number, line in lines if number not in secret)

    @property
    def there_and_back(self) -> Task:
        """The same with gradients: a call goes forward and back."""
        return self.model_copy(update={"source": self.source.model_copy(update={"backward": True})})

    @classmethod
    def load(cls, spec: str | Path, *, inputs: tuple[str, ...] = (), tolerance: Tolerance | None = None) -> Task:
        """A task from what a user types: the path of a file, or `package.module:name`; forward only (`there_and_back`).

        Raises:
            TaskError: there is no such file or it is not Python; naming the file and line.
        """
        from kernelwright.tasks.loaders import load

        return load(spec, inputs=inputs, tolerance=tolerance or Tolerance())

    @classmethod
    def from_module(
        cls, module: nn.Module, inputs: tuple[Any, ...], *, name: str = "", tolerance: Tolerance | None = None
    ) -> Task:
        """A task from a live module and example inputs; fresh inputs are drawn like the examples (shape, dtype, range).

        Raises:
            TaskError: the module cannot be pickled.
        """
        from kernelwright.tasks.loaders import from_module

        return from_module(module, inputs, name=name, tolerance=tolerance or Tolerance())
