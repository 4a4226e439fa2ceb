"""Judges one candidate with AKG's verifier for C++ on the CPU: CHECKOUT TASK CANDIDATE; prints JSON at the end.

Its template is rendered with what its own adapters give, as its verifier does, and run; it believes the exit status.
The time is taken as its profiler takes it.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import jinja2

WARM_UP, RUNS = 5, 50
"""What its profiler uses."""
NAME = "op"
PROFILE = """
from {name}_torch import Model as FrameworkModel, get_init_inputs, get_inputs
from {name}_cpp_impl import ModelNew
import torch
device = torch.device("cpu")
torch.manual_seed(0)
impl_model = ModelNew(*get_init_inputs()).to(device)
inputs = get_inputs()
def run():
{benchmark}
    return execution_time_ms
print()
print(run())
"""


def adapters(checkout: str) -> tuple[Any, Any]:
    """AKG's adapters for PyTorch and for C++."""
    root = Path(checkout, "akg_agents/python/akg_agents/op/verifier/adapters")
    for name in ("adapters", "adapters.framework", "adapters.dsl"):  # their packages import every language
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    framework = importlib.import_module("adapters.framework.torch").FrameworkAdapterTorch()
    return framework, importlib.import_module("adapters.dsl.cpp").DSLAdapterCpp()


def script(checkout: str) -> str:
    """The verification script."""
    framework, dsl = adapters(checkout)
    template = Path(
        checkout, "akg_agents/python/akg_agents/op/resources/templates/kernel_verify_template_refactored.j2"
    )
    lines = {
        "framework_imports": framework.get_import_statements(),
        "framework_model_import": framework.get_framework_import(NAME, False),
        "dsl_imports": dsl.get_import_statements("torch"),
        "dsl_impl_import": dsl.get_impl_import(NAME, "ModelNew"),
        "special_setup_code": "",
        "compare_code": framework.get_compare_code(),
        "device_setup_code": framework.get_device_setup_code("cpu", "x86_64", 0),
        "process_input_code": framework.get_process_input_code("cpu", "cpp"),
        "set_seed_code": framework.get_set_seed_code("cpu"),
        "create_impl_code": dsl.create_impl_module("torch", framework),
        "call_impl_code": dsl.call_impl("ModelNew", "inputs_for_impl", 0, framework, NAME),
        "compare_outputs_code": framework.get_compare_outputs_code(),
    }
    rendered: str = jinja2.Template(template.read_text()).render(
        **{name: _same_level(text) for name, text in lines.items()},
        tensor_type_name=framework.get_tensor_type_name(), framework="torch", backend="cpu", arch="x86_64", dsl="cpp",
        op_name=NAME, device_id=0, timeout=300, is_dynamic_shape=False, use_reference_data=False, needs_binary_io=False,
    )  # fmt: skip
    return rendered


def _same_level(text: str) -> list[str]:
    """The lines, without the margin that all of them share: the template puts its own before each."""
    lines = text.split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[margin:] for line in lines]


def main(checkout: str, task: str, candidate: str) -> None:
    """Prints whether it is called correct, and the milliseconds that are believed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{NAME}_torch.py").write_text(Path(task).read_text())
        Path(folder, f"{NAME}_cpp_impl.py").write_text(Path(candidate).read_text())
        Path(folder, "verify.py").write_text(script(checkout))
        done = subprocess.run([sys.executable, "verify.py"], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            print(json.dumps({"correct": False, "ms": None}))
            return
        _, dsl = adapters(checkout)
        benchmark = dsl.benchmark_impl("ModelNew", "inputs", WARM_UP, RUNS, "cpu", NAME)
        code = "\n".join(f"    {line}" for line in _same_level(benchmark))
        Path(folder, "profile_op.py").write_text(PROFILE.format(name=NAME, benchmark=code))
        timed = subprocess.run(
            [sys.executable, "profile_op.py"], cwd=folder, capture_output=True, text=True, check=False
        )
    try:
        ms = float(timed.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        ms = None
    print("\n" + json.dumps({"correct": True, "ms": ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
