"""The program `kernelwright`: its commands, and what becomes of errors."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from kernelwright.cli import (
    agent,
    calls,
    doctor,
    evaluate,
    export,
    guide,
    knowledge,
    mcp,
    node,
    optimize,
    profile,
    relay,
    resume,
    runs,
    show,
    task,
)
from kernelwright.cli.options import expanded
from kernelwright.cli.output import outlive_readers, plain
from kernelwright.errors import EXIT_ENVIRONMENT, EXIT_USAGE, KernelwrightError

EXIT_CODES = (
    "Exit codes: 0 accepted, faster, or done · 1 rejected, not faster, or no kernel · 2 wrong usage or task · "
    "3 the machine is at fault · 130 Ctrl-C"
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What writing the output may meet, wherever the user sent it."""


class _Group(TyperGroup):
    """Turns every error into one line on stderr and every command's return value into the exit code."""

    def main(self, **options: Any) -> NoReturn:  # type: ignore[override] # Typer passes everything by name.
        try:
            code = super().main(**{**options, "standalone_mode": False})
        except KernelwrightError as error:
            code = _say(str(error), error.exit_code)
        except typer.TyperException as error:
            code = _say(f"{error.format_message()} (see --help)", EXIT_USAGE)
        except Exception as error:
            # The last line of defence: nobody should have to read a traceback.
            if os.environ.get("KERNELWRIGHT_DEBUG"):
                raise
            code = _say(_unexpected(error), EXIT_ENVIRONMENT)
        sys.exit(code or 0)


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error.strerror}; free some space, or write elsewhere"
    return (
        f"unexpected {type(error).__name__}: {error}; this is a bug in Kernelwright, please report it with the output "
        "of the same command under KERNELWRIGHT_DEBUG=1"
    )


def _say(message: str, code: int) -> int:
    print(f"error: {plain(' '.join(message.split()))}", file=sys.stderr)
    return code


app = typer.Typer(
    name="kernelwright",
    cls=_Group,
    help="From a PyTorch computation to the fastest kernel that provably computes the same thing.",
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for _module in (optimize, evaluate, profile, guide, runs, show, node, calls, resume, export, doctor, relay, mcp):
    app.command(_module.__name__.rpartition(".")[2], epilog=EXIT_CODES)(expanded(_module.command))
for _module in (task, knowledge, agent):
    _group = typer.Typer(help=_module.HELP, epilog=EXIT_CODES)
    for _name, _command in _module.COMMANDS.items():
        _group.command(_name, epilog=EXIT_CODES)(expanded(_command))
    app.add_typer(_group, name=_module.__name__.rpartition(".")[2])


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"kernelwright {version('kernelwright')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Entry point of the program. What libraries log and warn of is for developers: shown only when debugging."""
    if not os.environ.get("KERNELWRIGHT_DEBUG"):
        import logging
        import warnings

        logging.disable()
        warnings.simplefilter("ignore")
    outlive_readers()
    app()
