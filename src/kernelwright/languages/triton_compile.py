"""Compiles a Triton kernel for a GPU that need not be there, and says what it takes of it. Runs beside the candidate.

Triton offers no public way to compile what a launch would compile, so this follows `JITFunction.run` up to the launch.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelwright.languages import ptxas

WARP, WAVE, _BLACKWELL = 32, 64, 100
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?(?!NOP)[A-Z]")
_AMD_INSTRUCTION = re.compile(r"^\t(?!s_nop)[a-z]+_\w+", re.MULTILINE)
_AMD_NUMBER = re.compile(r"^\s*\.(vgpr_count|vgpr_spill_count):\s+(\d+)", re.MULTILINE)


def compile_for(arch: int | str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What launching a kernel with these arguments would compile for an architecture, as Triton's own `CompiledKernel`;
    1 to 3 s.

    Args:
        arch: of NVIDIA's GPUs the compute capability as one number (90), of AMD's their name (`gfx942`).
        function: the kernel's Python function.
        args: what it would be launched with; tensors may be on the CPU.
        kwargs: the same by name; constants of the kernel and options such as `num_warps`.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, make_backend
    from triton.runtime.jit import JITFunction, create_function_from_signature

    kernel = JITFunction(function)
    target = GPUTarget("hip", arch, WAVE) if isinstance(arch, str) else GPUTarget("cuda", arch, WARP)
    backend = make_backend(target)
    options = {"debug": False, "instrumentation_mode": "", **kwargs}
    binder = create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, specialization, rest = binder(*args, **options)
    parsed, signature, constants, attributes = kernel._pack_args(  # noqa: SLF001 - see above
        backend, options, bound, specialization, rest
    )
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=target, options=parsed.__dict__)


def resources(kernel: Any) -> dict[str, int]:
    """What one block of a compiled kernel takes: `registers` of each thread, `spilled_bytes`, `shared_bytes`,
    `warps`, and of what is not loaded the `instructions` of its code, where each loop counts once; what is not known is
    left out."""
    facts = {"shared_bytes": int(kernel.metadata.shared), "warps": int(kernel.metadata.num_warps)}
    if getattr(kernel, "module", None) is not None:  # it has been loaded, so the driver has said
        return {"registers": int(kernel.n_regs), "spilled_bytes": int(kernel.n_spills), **facts}
    if "amdgcn" in kernel.asm:
        said = {name: int(number) for name, number in _AMD_NUMBER.findall(kernel.asm["amdgcn"])}
        facts["instructions"] = len(_AMD_INSTRUCTION.findall(kernel.asm["amdgcn"]))
        return {"registers": said["vgpr_count"], "spilled_bytes": 4 * said["vgpr_spill_count"], **facts}
    return {**_asked(kernel.asm["ptx"]), "instructions": _instructions(kernel.asm["cubin"]), **facts}


def _instructions(binary: bytes) -> int:
    """How many a kernel's machine code has, as the wheel's nvdisasm lists them."""
    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [knobs.nvidia.nvdisasm.path, "-c", file.name]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return len(_INSTRUCTION.findall(listed))


def _asked(ptx: str) -> dict[str, int]:
    """What the wheel's ptxas says of a kernel's text."""
    from triton import knobs

    arch = re.search(r"^\.target\s+(\w+)", ptx, re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernel.ptx").write_text(ptx)
        name = arch[1] if arch else "sm_90"
        # Triton brings two, the second for architectures that the first does not know.
        newer = int(re.sub(r"\D", "", name)) >= _BLACKWELL and hasattr(knobs.nvidia, "ptxas_blackwell")
        program = (knobs.nvidia.ptxas_blackwell if newer else knobs.nvidia.ptxas).path
        command = [program, "-v", f"--gpu-name={name}", "kernel.ptx", "-o", "kernel"]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr
    return next(iter(ptxas.read(said).values()), {})
