"""The half of the C++ language that runs beside the candidate, in the sandbox. Torch and the standard library only.

It sends every build into the candidate's own folder, loads what is already built there without writing, and counts the
functions of what was built. It patches by import hook: a candidate pays for the runtimes that it imports and no others.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelwright.languages import inductor, inline_builds
from kernelwright.languages.census import ablate, census, census_start, counted
from kernelwright.languages.on_import import on_import

__all__ = ["ablate", "census", "census_start", "install", "prepare", "resources"]

HEADER_FLAGS = ("-O3", "-march=native", "-fopenmp")
"""A tvm-ffi build with these flags uses the precompiled header, and takes a third of the time."""
_HEADER_MISFITS = ("-Ofast", "-ffast-math", "-ffinite-math", "-fassociative-math", "-mprefer-vector-width", "-std=")


def prepare(folder: str) -> None:
    """Precompiles the headers that builds share, in a worker of its own."""
    from kernelwright.languages import headers  # it needs this module's flags

    headers.prepare(folder)


def resources() -> dict[str, dict[str, int]]:
    """Nothing: a C++ compiler does not say what a function takes."""
    return {}


def static(_source: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Nothing: kernels are built for the machine at hand."""
    return {}


def install(build_dir: str, readonly: bool, headers: str = "") -> None:
    """Call once, before the candidate is loaded.

    Args:
        build_dir: the candidate's own folder: builds go there, and are found there.
        readonly: load what a first run built; anything else raises `RuntimeError`.
        headers: the folder that `prepare` filled, or empty.
    """
    builds = inline_builds.Builds(build_dir, readonly)
    inductor.configure(build_dir, headers)
    inline_builds.install(builds, functools.partial(_with_header, headers))
    on_import("torch._inductor.async_compile", functools.partial(_patch_inductor, builds))


def _with_header(headers: str, options: dict[str, Any]) -> dict[str, Any]:
    """A build's options with what makes gcc use the precompiled header, for sources that are given it anyway. Where it
    would not fit, asking for it costs time."""
    flags = [*(options.get("extra_cflags") or ())]
    header = Path(headers, "tvm_ffi.h")
    fits = set(HEADER_FLAGS) <= set(flags) and not any(flag.startswith(_HEADER_MISFITS) for flag in flags)
    if "cpp_sources" in options and headers and fits and header.with_suffix(".h.gch").exists():
        flags += ["-include", str(header)]
    return {**options, "extra_cflags": flags}


def _patch_inductor(builds: inline_builds.Builds, async_compile: Any) -> None:
    original = async_compile.AsyncCompile.cpp_pybinding
    codecache = sys.modules["torch._inductor.codecache"]
    cache, future_type = codecache.CppPythonBindingsCodeCache, codecache.LambdaFuture

    def cpp_pybinding(self: Any, argtypes: list[str], source_code: str) -> Any:
        place = builds.place("inductor", argtypes, source_code)
        link = place / "kernel.so"
        find_name = _assigned_in(sys._getframe(1).f_globals)  # noqa: SLF001 - the caller is the module that names it
        if builds.readonly:
            loaded = cache._load_library_inner(str(link), place.name)  # noqa: SLF001 - the public way locks and writes
            return counted(find_name, loaded.kernel)
        built = original(self, argtypes, source_code)

        def finish() -> Any:
            raw = built.result() if isinstance(built, future_type) else built
            if not link.exists():
                link.symlink_to(os.path.relpath(raw.__self__.__file__, place))
            return counted(find_name, raw)

        return future_type(finish) if isinstance(built, future_type) else finish()

    async_compile.AsyncCompile.cpp_pybinding = cpp_pybinding


def _assigned_in(scope: dict[str, Any]) -> Callable[[Any], str]:
    """Finds the name by which a module knows a function."""
    return lambda function: next((name for name, value in scope.items() if value is function), "kernel")
