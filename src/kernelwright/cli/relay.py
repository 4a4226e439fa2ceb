"""`kernelwright relay DIR`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kernelwright.serve.mailbox import Mailbox
    from kernelwright.serve.relay import Event


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Where prompts and replies go; made when missing.", file_okay=False, show_default=False
        ),
    ],
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 takes any.", min=0, max=65535)] = 8450,
) -> None:
    """Be the model: prompts become files in DIR, and what you write beside them is the reply."""
    from kernelwright.serve import extras, tokens

    with extras.needed():
        from kernelwright.serve import http, relay
    from kernelwright.serve.chat import MODEL
    from kernelwright.serve.mailbox import Mailbox

    with http.listen(port, option="--port") as listening:
        mailbox = Mailbox(folder)
        try:
            token = tokens.read_or_make(mailbox.folder / "token")
            _say(
                f"the relay listens; prompts go to {mailbox.folder}, the token is in {mailbox.folder / 'token'}\n"
                f"  export KERNELWRIGHT_API_KEY={token}\n"
                f"  kernelwright optimize TASK --model openai:{MODEL} "
                f"--base-url http://{http.HOST}:{listening.getsockname()[1]}/v1\n"
                "save a reply and it is sent; Ctrl-C ends the relay"
            )
            asyncio.run(relay.Relay(mailbox, token, _teller(mailbox)).run(listening))
            _say("the relay has ended; the same prompts keep their numbers and replies when it runs again")
        finally:
            mailbox.close()


def _teller(mailbox: Mailbox) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        number = f"{event.number:04}"
        what = {
            "waits": f"waits ({event.characters} characters): {mailbox.prompt_file(event.number)}, "
            f"answer in {mailbox.reply_file(event.number).name}",
            "blocked": f"still waits: {mailbox.reply_file(event.number)} {event.why}; put a file in its place",
            "answered": f"answered ({event.characters} characters, after {event.seconds:.0f} s)",
            "failed": "cannot be answered: its reply is too large; shorten it before the prompt comes again",
            "left": f"its asker went away after {event.seconds:.0f} s; a reply is kept until it asks again",
        }[event.kind]
        rest = ", ".join(f"{each:04}" for each in event.waiting)
        _say(f"{number} {what}" + (f"; waiting: {rest}" if rest else "; nothing waits"))

    return tell


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
