"""`python -m kernelwright.cli`."""

from kernelwright.cli import main

main()
