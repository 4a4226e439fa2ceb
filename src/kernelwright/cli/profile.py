"""`kernelwright profile TASK KERNEL`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption, JudgedTask, KernelArgument
from kernelwright.cli.output import print_json, show, stdout_reserved
from kernelwright.errors import EXIT_NEGATIVE, EXIT_OK


def command(judged: JudgedTask, kernel: KernelArgument, json: JsonOption = False) -> int:
    """Judge a kernel and say what bounds it: memory, arithmetic, latency, or what is around its kernels."""
    from kernelwright import api
    from kernelwright.report import tables
    from kernelwright.report.view import as_json

    with stdout_reserved():
        found = api.profile(judged.load(), kernel, target=judged.target, language=judged.language)
    if json:
        print_json(as_json(found))
    else:
        show(tables.profile(found))
    return EXIT_OK if found.verdict.accepted else EXIT_NEGATIVE
