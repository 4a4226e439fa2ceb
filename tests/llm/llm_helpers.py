"""What the tests of models share: a key that must show up nowhere, a run in a store, and a loop around models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kernelwright.store import Store
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Task, TaskSource

KEY = "sk-very-secret-0123456789abcdef"


def new_run(store: Store) -> str:
    task = Task(name="t", source=TaskSource(kind="kernelbench", text="x", filename="t.py"))
    target = TargetInfo(
        name="cpu", model="Test 1", cores=4, simd="avx2", vector_bytes=32, l1_bytes=1, l2_bytes=2, l3_bytes=3,
        memory_bytes=4, key="cpu-1",
    )  # fmt: skip
    return store.create(task, target, {}, 0)


def finish(models: Any, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Runs work with models and closes them."""

    async def all_of_it() -> Any:
        async with models:
            return await work(models)

    return asyncio.run(all_of_it())
