"""The half of the C++ language that runs beside the candidate, in the sandbox. Torch and the standard library only.

It sends every build into the candidate's own folder, loads what is already built there without writing, and counts the
functions of what was built. It patches by import hook: a candidate pays for the runtimes that it imports and no others.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from kernelwright import toolchain
from kernelwright.languages import inductor
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


def install(build_dir: str, readonly: bool, headers: str = "") -> None:
    """Call once, before the candidate is loaded.

    Args:
        build_dir: the candidate's own folder: builds go there, and are found there.
        readonly: load what a first run built; anything else raises `RuntimeError`.
        headers: the folder that `prepare` filled, or empty.
    """
    builds = _Builds(Path(build_dir), readonly, headers)
    os.environ["TVM_FFI_CACHE_DIR"] = os.environ["TORCH_EXTENSIONS_DIR"] = build_dir
    os.environ["PATH"] = toolchain.search_path()
    inductor.configure(build_dir, headers)
    on_import("tvm_ffi.cpp", functools.partial(_patch_tvm_ffi, builds))
    on_import("torch.utils.cpp_extension", functools.partial(_patch_torch, builds))
    on_import("torch._inductor.async_compile", functools.partial(_patch_inductor, builds))


class _Builds:
    """The candidate's build folder: one subfolder for each thing built, named by a hash of what it was built from."""

    def __init__(self, folder: Path, readonly: bool, headers: str) -> None:
        self.folder, self.readonly, self.headers = folder, readonly, headers
        self._temporary: dict[str, int] = {}

    def place(self, runtime: str, *recipe: Any) -> Path:
        """The folder for this recipe.

        Raises:
            RuntimeError: it must exist and does not: the source that was built is not the one that is run.
        """
        # Temporary files have other names in each process: they count by the order in which they are met.
        text = re.sub(rf"{re.escape(tempfile.gettempdir())}/[^\s'\",]*", self._number, repr(recipe))
        place = self.folder / runtime / hashlib.sha256(text.encode()).hexdigest()[:16]
        if self.readonly and not place.is_dir():
            raise RuntimeError(
                "the C++ to build is not the same as in the first run: it must not change from run to run"
            )
        if not self.readonly:
            place.mkdir(parents=True, exist_ok=True)
        return place

    def _number(self, found: re.Match[str]) -> str:
        return f"temporary {self._temporary.setdefault(found[0], len(self._temporary))}"


class _CountedModule:
    """Stands in for a built module: its functions are counted, all else is passed through."""

    def __init__(self, module: Any, is_kernel: Callable[[Any], bool]) -> None:
        self._module, self._is_kernel = module, is_kernel

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if self._is_kernel(value):
            value = counted(lambda _: name, value)
        setattr(self, name, value)
        return value

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def get_function(self, name: str) -> Any:
        """tvm-ffi's third spelling of `module.name`."""
        return getattr(self, name)


def _patch_tvm_ffi(builds: _Builds, cpp: Any) -> None:
    extension: Any = sys.modules["tvm_ffi.cpp.extension"]
    function_type = sys.modules["tvm_ffi.core"].Function

    def load_inline(name: str, *, keep_module_alive: bool = True, **options: Any) -> _CountedModule:
        options.pop("build_directory", None)
        place = builds.place("tvm", name, sorted(options.items()))
        if not builds.readonly:
            flags = [*(options.pop("extra_cflags", None) or ())]
            flags += _header_flags(builds.headers, flags)
            extension.build_inline(name, **options, extra_cflags=flags, build_directory=str(place))
        module = extension.load_module(place / f"{name}.so", keep_module_alive=keep_module_alive)
        return _CountedModule(module, lambda value: isinstance(value, function_type))

    def load(name: str, *, keep_module_alive: bool = True, **options: Any) -> _CountedModule:
        options.pop("build_directory", None)
        files = [options[key] for key in ("sources", "cpp_files") if options.get(key)]
        place = builds.place("tvm files", name, [_texts(each) for each in files], sorted(options.items()))
        if not builds.readonly:
            extension.build(name, **options, build_directory=str(place))
        module = extension.load_module(place / f"{name}.so", keep_module_alive=keep_module_alive)
        return _CountedModule(module, lambda value: isinstance(value, function_type))

    for module in (cpp, extension):
        module.load_inline, module.load = load_inline, load


def _header_flags(headers: str, flags: list[str]) -> list[str]:
    """What makes gcc use the precompiled header. Where it would not fit, asking for it costs time."""
    header = Path(headers, "tvm_ffi.h")
    fits = set(HEADER_FLAGS) <= set(flags) and not any(flag.startswith(_HEADER_MISFITS) for flag in flags)
    return ["-include", str(header)] if headers and fits and header.with_suffix(".h.gch").exists() else []


def _patch_torch(builds: _Builds, cpp_extension: Any) -> None:
    def patched(original: Any, contents: Callable[[Any], Any]) -> Any:
        @functools.wraps(original)
        def load(name: str, sources: Any = None, *args: Any, **options: Any) -> Any:
            if not options.get("is_python_module", True):
                raise RuntimeError("is_python_module=False is not supported: its kernels could not be counted")
            options.pop("build_directory", None)
            sources = options.pop("cpp_sources", sources)
            place = builds.place("torch", name, contents(sources), args, sorted(options.items()))
            if not builds.readonly:
                module = original(name, sources, *args, **options, build_directory=str(place))
            else:
                module = _load_extension(name, place / f"{name}.so")
            return _CountedModule(module, lambda value: callable(value) and not isinstance(value, type))

        return load

    cpp_extension.load_inline = patched(cpp_extension.load_inline, lambda sources: sources)
    cpp_extension.load = patched(cpp_extension.load, _texts)


def _texts(files: Any) -> list[str]:
    """What the files of a build hold: temporary ones have the same text under another name in each process."""
    return [Path(file).read_text() for file in ([files] if isinstance(files, (str, os.PathLike)) else files)]


def _patch_inductor(builds: _Builds, async_compile: Any) -> None:
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


def _load_extension(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path.name} is no Python extension")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
