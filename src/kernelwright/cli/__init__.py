"""The command line: one file a command. It parses, calls `kernelwright.api` and prints; it decides nothing."""

from kernelwright.cli.program import app, main

__all__ = ["app", "main"]
