"""`kernelwright evaluate TASK KERNEL`."""

from __future__ import annotations

from collections.abc import Callable

from kernelwright.cli.options import (
    AllowTf32Option,
    InputOption,
    JsonOption,
    KernelArgument,
    LanguageOption,
    StrictOption,
    TargetOption,
    TaskArgument,
    ToleranceOption,
)
from kernelwright.cli.output import print_json, show, stdout_reserved
from kernelwright.errors import EXIT_NEGATIVE, EXIT_OK


def judging(told: str, *, bounds: bool) -> Callable[..., int]:
    """A command that judges a kernel, whose help is `told`; it shows the verdict, or with `bounds` also what bounds the
    kernel."""

    def command(
        task: TaskArgument,
        kernel: KernelArgument,
        *,
        target: TargetOption = "cpu",
        language: LanguageOption = "cpp",
        inputs: InputOption = None,
        allow_tf32: AllowTf32Option = False,
        tolerance: ToleranceOption = None,
        strict: StrictOption = False,
        json: JsonOption = False,
    ) -> int:
        from kernelwright import api
        from kernelwright.report import tables
        from kernelwright.report.view import as_json

        with stdout_reserved():
            found = api.profile(
                api.load_task(task, inputs=inputs or (), allow_tf32=allow_tf32, tolerance=tolerance, strict=strict),
                kernel,
                target=target,
                language=language,
            )
        if json:
            print_json(as_json(found if bounds else found.verdict))
        else:
            show(tables.profile(found) if bounds else tables.verdict(found.verdict))
        return EXIT_OK if found.verdict.accepted else EXIT_NEGATIVE

    command.__doc__ = told
    return command


command = judging("Judge a kernel: is it right, is it its own work, how fast is it?", bounds=False)
