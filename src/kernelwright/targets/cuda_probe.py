"""A program that prints a GPU's ceilings, one `KIND WHAT RATE` a line: bytes/s by bytes moved, FLOP/s by dtype.

It measures as candidates are timed: operations in a row without gaps (a CUDA graph), each on memory of its own, so that
none finds its data in a cache. Of several ways to move data the best counts, since a ceiling must hold for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

SIZES = [1 << power for power in range(15, 31)]
AT_LEAST = 512 << 20
"""Bytes that operations on small tensors go through before one sees the same memory again."""
MOST = 200
"""Operations in a row."""
ROUNDS = 5


def main() -> None:
    """Prints all lines."""
    torch.backends.cuda.matmul.allow_tf32 = False
    for size in SIZES:
        for kind, operations in traffic(size):
            print(kind, size, size / min(seconds(operations) for _ in range(2)))
    for name, dtype, side in (("float64", torch.float64, 4096), ("float32", torch.float32, 4096),
                              ("float16", torch.float16, 8192), ("bfloat16", torch.bfloat16, 8192)):  # fmt: skip
        print("flops", name, product(dtype, side))
    torch.backends.cuda.matmul.allow_tf32 = True
    print("flops tf32", product(torch.float32, 8192))


def traffic(size: int) -> Iterable[tuple[str, list[Callable[[], object]]]]:
    """Ways to move `size` bytes, by kind: for each as many operations as there is memory for, on tensors of theirs."""
    count = min(MOST, max(4, AT_LEAST // size))
    for kind, parts in (("copy", 2), ("read", 1), ("write", 1)):
        length = size // 4 // parts
        sources = [torch.rand(length, device="cuda") for _ in range(count)]
        if kind == "copy":
            targets = [torch.empty_like(source) for source in sources]
            pairs = list(zip(sources, targets, strict=True))
            yield kind, [lambda s=s, t=t: t.copy_(s) for s, t in pairs]  # type: ignore[misc]
            yield kind, [lambda s=s, t=t: torch.mul(s, 2, out=t) for s, t in pairs]  # type: ignore[misc]
        elif kind == "read":
            rows = [source.view(-1, min(4096, length)) for source in sources]
            sums = [row.sum(1) for row in rows]
            yield kind, [lambda r=r, s=s: torch.sum(r, 1, out=s) for r, s in zip(rows, sums, strict=True)]  # type: ignore[misc]
            yield kind, [lambda s=s: torch.sum(s) for s in sources]  # type: ignore[misc]
        else:
            yield kind, [lambda s=s: s.fill_(1.0) for s in sources]  # type: ignore[misc]


def seconds(operations: list[Callable[[], object]]) -> float:
    """Seconds for one of the operations, run in a row."""
    for operation in operations[:3]:
        operation()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for operation in operations:
            operation()
    return timed(graph.replay) / len(operations)


def product(dtype: torch.dtype, side: int) -> float:
    """FLOP/s of a square matrix product on random data."""
    a, b = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * side**3 / timed(lambda: a @ b)


def timed(work: Callable[[], object]) -> float:
    """Seconds that the device takes, the least of several."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        work()
        end.record()
        end.synchronize()
        best = min(best, 1e-3 * begin.elapsed_time(end))
    return best


if __name__ == "__main__":
    main()
