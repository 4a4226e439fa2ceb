"""A kernel with the rewrites that arrange its loops."""

from __future__ import annotations

from dataclasses import dataclass

from kernelwright.proposers.catalogue import rules
from kernelwright.proposers.catalogue.fusing import fusible
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.rewrites import IllegalRewriteError, Rewrite


@dataclass(frozen=True, eq=False)
class Schedule:
    """A region (the loops of one kernel, plain and serial) and what rewrites have made of it.

    A value: `then` gives another one. The rewrites alone are what is written to text or JSON (`rewrites.py`), from
    which `Schedule.of(region).then(*rewrites)` makes the same again.
    """

    region: Loops
    loops: Loops

    @classmethod
    def of(cls, region: Loops) -> Schedule:
        """Without any rewrite."""
        return cls(region, region)

    @property
    def name(self) -> str:
        """The kernel's."""
        return self.region.name

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        """What was made, in order."""
        return self.loops.rewrites

    def then(self, *rewrites: Rewrite) -> Schedule:
        """With more rewrites, one after the other.

        Raises:
            IllegalRewriteError: one of them may not be made.
        """
        loops = self.loops
        for rewrite in rewrites:
            loops = rules.applied(loops, rewrite)
        return Schedule(self.region, loops)

    def then_if_legal(self, rewrite: Rewrite) -> Schedule:
        """With one more rewrite, or as it is where that may not be made."""
        try:
            return self.then(rewrite)
        except IllegalRewriteError:
            return self

    def fused(self) -> Schedule:
        """With all loops made one that follow each other in every tensor."""
        schedule = self
        while pairs := fusible(schedule.loops.stores, schedule.loops.kept, schedule.loops.reduced):
            names = dict(zip(schedule.loops.order, schedule.loops.names, strict=True))
            schedule = schedule.then(Rewrite.of("fuse", *(names[axis] for axis in pairs[0])))
        return schedule

    def legal(self, rewrite: Rewrite) -> bool:
        """Whether the rewrite may be made next."""
        try:
            rules.applied(self.loops, rewrite)
        except IllegalRewriteError:
            return False
        return True

    def choices(self) -> list[Rewrite]:
        """Every legal next rewrite, each with the arguments that are worth trying."""
        return [rewrite for rewrite in rules.candidates(self.loops) if self.legal(rewrite)]

    def nest(self) -> Nest:
        """The loops to be written.

        Raises:
            IllegalRewriteError: a rewrite that is needed is missing.
        """
        if missing := rules.missing(self.loops):
            wanted = missing.text("…" if missing.parameter in rules.CHOICES else None)
            raise IllegalRewriteError("the loops are not finished", where=self.name, remedy=f"add {wanted}")
        return self.loops.nest()
