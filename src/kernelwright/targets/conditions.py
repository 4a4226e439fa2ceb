"""What a device was like while something was timed on it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Conditions(BaseModel):
    """Life cycle: made when the timing has ended.

    `clock_mhz` are the lowest and the highest clock that was seen, `slowed` the driver's reasons for lower ones, which
    are of no candidate's making, `capped` whether the limit on power was one, which products meet as a rule; `others`
    are processes of other programs that worked on the device. `missing` is a sentence about what could not be seen.
    """

    model_config = ConfigDict(frozen=True)

    clock_mhz: tuple[int, int] | None = None
    slowed: tuple[str, ...] = ()
    capped: bool = False
    others: tuple[str, ...] = ()
    missing: str = ""

    @property
    def disturbance(self) -> str:
        """What may have changed the times, as the end of a sentence; empty where nothing is known to have."""
        slowed = f"the device was slowed down ({', '.join(self.slowed)})" if self.slowed else ""
        others = f"other programs used the device ({', '.join(self.others)})" if self.others else ""
        return " and ".join(filter(None, (slowed, others)))
