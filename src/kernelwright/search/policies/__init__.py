"""Which nodes of the graph to build on next; one file a policy."""

from kernelwright.search.policies.base import Policy

__all__ = ["Policy"]
