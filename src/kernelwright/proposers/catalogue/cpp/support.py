"""The support code that candidates carry with them: only the parts a candidate uses."""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files

_ORDER = (
    "basic", "half", "fp16", "exp", "expm1", "log", "log1p", "log2", "log10", "sigmoid", "tanh", "erf", "erf_and_1",
    "rounding", "positions", "places", "strided", "within", "sums", "products", "largest", "smallest", "online",
    "running", "arg", "columns", "tiles", "product", "shares", "attention", "amx",
    "winograd",
)  # fmt: skip
_NEEDS = (
    dict.fromkeys(("expm1", "sigmoid", "erf", "erf_and_1", "tanh"), "exp")
    | dict.fromkeys(("log1p", "log2", "log10"), "log")
    | dict.fromkeys(("product", "winograd"), "tiles")
)


def support(snippets: Collection[str]) -> str:
    """The C++ text of the core and the named parts, with what they need, in an order that compiles."""
    wanted = {"basic", *snippets}
    wanted |= {_NEEDS[name] for name in snippets if name in _NEEDS}
    folder = files("kernelwright.proposers.catalogue.cpp") / "text"
    return "".join(
        (folder / f"{name}.h").read_text() for name in ["core", *(name for name in _ORDER if name in wanted)]
    )
