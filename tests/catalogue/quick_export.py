"""Exports by the hundred: what torch puts together anew for each of them, and what is the same each time, is kept. That
is more than half of what the export of a small module takes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch._export.utils
import torch.export.exported_program
from torch._subclasses.fake_impls import _deregister_op_impl, op_implementations_dict

Decompositions = dict[torch._ops.OpOverload, Callable[..., Any]]
_put_together = torch.export.exported_program._override_composite_implicit_decomp
_kept: dict[torch._ops.OpOverload, tuple[dict[Any, Any], Callable[..., Any]]] = {}


@contextmanager
def _overridden(decompositions: Decompositions) -> Iterator[None]:
    """The composite operators' own kernels, as torch has put them there the first time, and what was there before once
    the block ends."""
    if not _kept:
        with _put_together(decompositions):
            _kept.update({op: (op.py_kernels.copy(), op_implementations_dict[op]) for op in decompositions})
            yield
        return
    assert decompositions.keys() == _kept.keys()
    before = {op: op.py_kernels.copy() for op in _kept}
    for op, (kernels, fake) in _kept.items():
        _put(op, kernels)
        op_implementations_dict.setdefault(op, fake)
    try:
        yield
    finally:
        for op, kernels in before.items():
            _put(op, kernels)
            _deregister_op_impl(op)


def _put(op: torch._ops.OpOverload, kernels: dict[Any, Any]) -> None:
    op.py_kernels.clear()
    op.py_kernels.update(kernels)
    op._dispatch_cache.clear()


def install() -> None:
    """From now on exports of this process are quick."""
    torch.export.exported_program._override_composite_implicit_decomp = _overridden
    torch._export.utils._materialize_cpp_cia_ops = functools.cache(torch._export.utils._materialize_cpp_cia_ops)
