"""`kernelwright mcp`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from kernelwright.cli.options import TargetOption
from kernelwright.errors import UsageError


def command(
    *,
    root: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder whose tasks may be read.", file_okay=False)
    ] = Path(),
    target: TargetOption = "cpu",
    port: Annotated[
        int | None,
        typer.Option(
            "--http",
            metavar="PORT",
            help="Serve several agents over HTTP on 127.0.0.1, instead of one over stdin and stdout; 0 takes any port.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    clients: Annotated[
        list[str] | None,
        typer.Option(
            "--client",
            metavar="NAME",
            help="With --http: an agent that gets a token and a turn of its own; once for each.",
            show_default="agent",
        ),
    ] = None,
) -> None:
    """Serve Kernelwright's verbs to a coding agent (Model Context Protocol)."""
    from kernelwright.serve import extras, tokens
    from kernelwright.serve.folder import TaskFolder

    with extras.needed():
        from kernelwright.serve import http, mcp_server

    folder = TaskFolder(root)
    if port is None:
        if clients:
            raise UsageError("only clients over HTTP have names", where="--client", remedy="add --http PORT")
        print(f"MCP server on stdin and stdout for the tasks in {folder.root}", file=sys.stderr, flush=True)
        asyncio.run(mcp_server.serve_stdio(folder, target))
        return
    files = {client: tokens.file(client) for client in clients or ["agent"]}
    secrets = {client: tokens.read_or_make(path) for client, path in files.items()}
    with http.listen(port, option="--http") as listening:
        url = f"http://{http.HOST}:{listening.getsockname()[1]}{mcp_server.PATH}"
        lines = [f"MCP server at {url} for the tasks in {folder.root}"]
        lines += [f"  {client}: Authorization: Bearer {secrets[client]}  ({path})" for client, path in files.items()]
        print("\n".join(lines), file=sys.stderr, flush=True)
        asyncio.run(mcp_server.serve_http(folder, target, listening, secrets))
