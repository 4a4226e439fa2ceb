"""Loops that threads share out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from kernelwright.proposers.catalogue.cpp.writer import Writer
from kernelwright.proposers.catalogue.loops import Sweep


@contextmanager
def team(writer: Writer, condition: str, sweeps: Sequence[Sweep], private: Sequence[str] = ()) -> Iterator[None]:
    """Threads that share out the loops written inside, as many of them as `parallelise` names.

    Args:
        condition: when it is worth more than one thread.
        sweeps: whose stores may go past the caches; each thread then makes sure of its own before it ends.
        private: declarations of what each thread has to itself.
    """
    past = {writer.pointer(store.buffer) for sweep in sweeps for store in sweep.stores} & set(writer.streamed)
    fence = [f"if ({writer.number_of('stage', 'stores')}) fence();"] if past else []
    shared, by = writer.nest.made("parallelise"), writer.by("parallelise")
    if shared is None:
        with writer.block("{") if private or fence else nullcontext():
            writer.put(*private)
            yield
            writer.put(*fence)
        return
    collapse = f" collapse({len(shared.on)})" if len(shared.on) > 1 else ""
    if not fence and not private:
        schedule = f"schedule({writer.macro(shared)}){collapse} if ({condition})"
        writer.put(f"#pragma omp parallel for num_threads(THREADS) {schedule}{by}")
        yield
        return
    writer.put(f"#pragma omp parallel num_threads(THREADS) if ({condition})")
    with writer.block("{"):
        writer.put(*private, f"#pragma omp for schedule({writer.macro(shared)}){collapse} nowait{by}")
        yield
        writer.put(*fence)


def tasks(writer: Writer) -> str:
    """The loop over shares of what is combined."""
    return f"for (int64_t task = 0; task < tasks; ++task) {{{writer.by('split_reduce')}"


def work(writer: Writer) -> str:
    """How many elements the nest goes through, as a C++ expression."""
    nest = writer.nest
    sizes = [writer.size(axis) for axis in (*nest.parallel, *nest.inner)] + (["n"] if nest.vector else [])
    return " * ".join(sizes) or "1"
