"""Why a kernel takes as long as it does: what is known of it from several depths, merged into one diagnosis.

A depth is one way to look: the roofline, the candidate's own kernels, the library calls beside them, the system's
counters. All of them read what the judge has measured, so a diagnosis costs nothing and is the same for everybody: on
the terminal, over MCP, in the prompts of models. To add a depth, write a `Depth` and name it in `diagnosis.DEPTHS`.
"""

from kernelwright.profile.base import BOUNDS, Bound, Depth, Diagnosis, Fact, Profile, Subject
from kernelwright.profile.diagnosis import diagnose, profile

__all__ = ["BOUNDS", "Bound", "Depth", "Diagnosis", "Fact", "Profile", "Subject", "diagnose", "profile"]
