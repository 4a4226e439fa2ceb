"""Every run, candidate, verdict and call of a model, in one database."""

from kernelwright.store.records import NodeRecord, RunRecord, Status, signature
from kernelwright.store.schema import Outcome
from kernelwright.store.store import Store

__all__ = ["NodeRecord", "Outcome", "RunRecord", "Status", "Store", "signature"]
