"""Precompiles the headers that candidates' builds spend most of their time in.

Each header appears under its final name only when complete, so a build that starts meanwhile goes without.
gcc uses a precompiled header only where compiler and flags fit, so what is built is the same with and without it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernelwright import toolchain
from kernelwright.languages.cpp_worker import HEADER_FLAGS
from kernelwright.languages.inductor import HEADER_FOLDER, find_header

# What tvm_ffi.cpp.load_inline puts before a candidate's source, and nothing else: a candidate that forgets an #include
# must not build here and fail elsewhere.
TVM_FFI_HEADERS = ("container/tensor.h", "dtype.h", "error.h", "extra/c_env_api.h", "function.h")
DRAFT = "draft-"
"""What is not complete yet lies in folders of such names."""


def precompile_tvm_ffi(folder: Path) -> None:
    """Writes `tvm_ffi.h` and `tvm_ffi.h.gch` (70 MB, 5 s).

    Raises:
        subprocess.CalledProcessError: the compiler failed.
    """
    from tvm_ffi.libinfo import find_dlpack_include_path, find_include_path

    includes = [f"-I{find_include_path()}", f"-I{find_dlpack_include_path()}"]
    flags = ["-std=c++17", "-fPIC", "-O2", *HEADER_FLAGS, *includes]
    with tempfile.TemporaryDirectory(dir=folder, prefix=DRAFT) as draft:
        header, precompiled = Path(draft, "tvm_ffi.h"), Path(draft, "tvm_ffi.h.gch")
        header.write_text("".join(f"#include <tvm/ffi/{name}>\n" for name in TVM_FFI_HEADERS))
        command = [*toolchain.compiler(), *flags, "-x", "c++-header", str(header), "-o", str(precompiled)]
        subprocess.run(command, check=True, capture_output=True)
        for complete in (header, precompiled):
            complete.replace(folder / complete.name)


def precompile_inductor(folder: Path) -> None:
    """Has inductor precompile its own header (150 MB, 13 s), with the flags that it gives every kernel."""
    from torch._inductor import codecache, config

    config.compile_threads = 1
    config.cpp.vec_isa_ok = True
    with tempfile.TemporaryDirectory(dir=folder, prefix=DRAFT) as draft:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{draft}/cache"
        codecache._HEADER_DIR = f"{draft}/{HEADER_FOLDER}"  # noqa: SLF001 - no public way
        codecache._HEADER_LOCK_DIR = f"{draft}/locks"  # noqa: SLF001
        codecache.CppPythonBindingsCodeCache.load_pybinding(
            ["float*"], '#include <torch/csrc/inductor/cpp_prefix.h>\nextern "C" void kernel(float*) {}\n'
        )
        Path(draft, HEADER_FOLDER).replace(folder / HEADER_FOLDER)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps others out until the block ends, or this process does; where the file system has no locks, two do the
    same."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def prepare(folder: str) -> None:
    """Fills the folder that builds share: 215 MB in about 20 s, nothing where it is full already. One process does it
    at a time; what one left that was ended is removed."""
    target = Path(folder)
    os.environ["PATH"] = toolchain.search_path()
    with locked(target):
        for draft in target.glob(f"{DRAFT}*"):
            shutil.rmtree(draft, ignore_errors=True)
        if not (target / "tvm_ffi.h.gch").exists():
            precompile_tvm_ffi(target)
        if not find_header(str(target)):
            precompile_inductor(target)
