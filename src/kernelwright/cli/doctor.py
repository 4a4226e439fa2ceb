"""`kernelwright doctor`."""

from __future__ import annotations

from kernelwright.cli.options import JsonOption
from kernelwright.cli.output import print_json, show, stdout_reserved
from kernelwright.errors import EXIT_ENVIRONMENT, EXIT_OK


def command(json: JsonOption = False) -> int:
    """Check Python, torch, compiler, CPU, sandbox and store; say how to mend what is missing."""
    from kernelwright.report import doctor, tables

    with stdout_reserved():
        checks = doctor.examine()
    if json:
        print_json([check.to_json() for check in checks])
    else:
        show(tables.doctor(checks))
    return EXIT_ENVIRONMENT if any(check.status == "broken" for check in checks) else EXIT_OK
