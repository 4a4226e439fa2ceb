"""`kernelwright evaluate TASK KERNEL`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption, JudgedTask, KernelArgument, SanitizeOption
from kernelwright.cli.output import print_json, show, stdout_reserved
from kernelwright.errors import EXIT_NEGATIVE, EXIT_OK


def command(
    judged: JudgedTask, kernel: KernelArgument, sanitize: SanitizeOption = False, json: JsonOption = False
) -> int:
    """Judge a kernel: is it right, is it its own work, how fast is it?"""
    from kernelwright import api
    from kernelwright.report import tables
    from kernelwright.report.view import as_json

    with stdout_reserved():
        verdict = api.evaluate(judged.load(), kernel, target=judged.target, language=judged.language, sanitize=sanitize)
    if json:
        print_json(as_json(verdict))
    else:
        show(tables.verdict(verdict))
    return EXIT_OK if verdict.accepted and verdict.clean else EXIT_NEGATIVE
