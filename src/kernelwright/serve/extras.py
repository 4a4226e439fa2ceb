"""What the servers need beyond Kernelwright itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kernelwright.errors import UsageError


@contextmanager
def needed() -> Iterator[None]:
    """Around an import of a server's module.

    Raises:
        UsageError: a package of the extra `serve` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this needs the Python package {error.name}", remedy="install it with `pip install 'kernelwright[serve]'`"
        ) from error
