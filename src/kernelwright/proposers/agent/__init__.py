"""The coding agent as a proposer: a language model that works with tools, as in AVO (arXiv 2603.24517)."""

from kernelwright.proposers.agent.agent import Agent

__all__ = ["Agent"]
