"""Sources inside a Python module that tvm-ffi or torch build when it is imported: where builds go, and what is counted
of them. Runs beside the candidate: torch and the standard library only.

Every build goes into the candidate's own folder, and what is already built there is loaded without writing.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from kernelwright import toolchain
from kernelwright.languages.census import counted
from kernelwright.languages.on_import import on_import

LOG = "build.log"
"""The file beside what tvm-ffi built that holds what its compilers said."""
Flags = Callable[[dict[str, Any]], dict[str, Any]]


class Builds:
    """The candidate's build folder: one subfolder for each thing built, named by a hash of what it was built from."""

    def __init__(self, folder: str, readonly: bool) -> None:
        self.folder, self.readonly = Path(folder), readonly
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
                "the code to build is not the same as in the first run: it must not change from run to run"
            )
        if not self.readonly:
            place.mkdir(parents=True, exist_ok=True)
        return place

    def _number(self, found: re.Match[str]) -> str:
        return f"temporary {self._temporary.setdefault(found[0], len(self._temporary))}"


class CountedModule:
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


def install(builds: Builds, flags: Flags) -> None:
    """Has tvm-ffi and torch build in the candidate's folder once they are imported.

    Args:
        builds: the folder.
        flags: tvm-ffi's options for a build with what the language adds to them, given the candidate's.
    """
    os.environ["TVM_FFI_CACHE_DIR"] = os.environ["TORCH_EXTENSIONS_DIR"] = str(builds.folder)
    os.environ["TVM_FFI_CPP_EXTENSION_LOG_BUILD"] = "stdout"
    os.environ["PATH"] = toolchain.search_path()
    on_import("tvm_ffi.cpp", functools.partial(_patch_tvm_ffi, builds, flags))
    on_import("torch.utils.cpp_extension", functools.partial(_patch_torch, builds))


def _patch_tvm_ffi(builds: Builds, flags: Flags, cpp: Any) -> None:
    extension: Any = sys.modules["tvm_ffi.cpp.extension"]
    function_type = sys.modules["tvm_ffi.core"].Function

    def built(place: Path, make: Callable[..., Any], name: str, options: dict[str, Any], alive: bool) -> CountedModule:
        if not builds.readonly:
            with _logged(extension.__name__, place / LOG):
                make(name, **flags(options), build_directory=str(place))
        module = extension.load_module(place / f"{name}.so", keep_module_alive=alive)
        return CountedModule(module, lambda value: isinstance(value, function_type))

    def load_inline(name: str, *, keep_module_alive: bool = True, **options: Any) -> CountedModule:
        options.pop("build_directory", None)
        place = builds.place("tvm", name, sorted(options.items()))
        return built(place, extension.build_inline, name, options, keep_module_alive)

    def load(name: str, *, keep_module_alive: bool = True, **options: Any) -> CountedModule:
        options.pop("build_directory", None)
        files = [options[key] for key in ("sources", "cpp_files", "cuda_files") if options.get(key)]
        place = builds.place("tvm files", name, [_texts(each) for each in files], sorted(options.items()))
        return built(place, extension.build, name, options, keep_module_alive)

    for module in (cpp, extension):
        module.load_inline, module.load = load_inline, load


@contextmanager
def _logged(name: str, file: Path) -> Iterator[None]:
    """Adds what a module logs meanwhile to a file: tvm-ffi's, what ninja prints."""
    logger, handler = logging.getLogger(name), logging.FileHandler(file)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _patch_torch(builds: Builds, cpp_extension: Any) -> None:
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
            return CountedModule(module, lambda value: callable(value) and not isinstance(value, type))

        return load

    cpp_extension.load_inline = patched(cpp_extension.load_inline, lambda sources: sources)
    cpp_extension.load = patched(cpp_extension.load, _texts)


def _texts(files: Any) -> list[str]:
    """What the files of a build hold: temporary ones have the same text under another name in each process."""
    return [Path(file).read_text() for file in ([files] if isinstance(files, (str, os.PathLike)) else files)]


def _load_extension(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path.name} is no Python extension")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
