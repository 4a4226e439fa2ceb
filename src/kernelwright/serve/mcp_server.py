"""The Model Context Protocol, by the official SDK: Kernelwright's verbs as tools for coding agents."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import AnyHttpUrl

from kernelwright.errors import KernelwrightError
from kernelwright.serve import http
from kernelwright.serve.bench import Bench
from kernelwright.serve.folder import TaskFolder
from kernelwright.serve.tools import Tools

PATH = "/mcp"
LARGEST_REQUEST = 2 << 20
_INSTRUCTIONS = (Path(__file__).parent / "templates" / "instructions.md").read_text(encoding="utf-8")


class Tokens:
    """Tells clients apart by their tokens, as the SDK asks for it."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = tokens

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token it is; None where it is nobody's."""
        for client, known in self._tokens.items():
            if secrets.compare_digest(token.encode(), known.encode()):
                return AccessToken(token=token, client_id=client, scopes=[])
        return None


async def serve_stdio(root: TaskFolder, target: str) -> None:
    """Serves the program that started this one, over stdin and stdout, until it closes them.

    Ctrl-C ends the process at once: the SDK's reader cannot be interrupted, and the judges end with this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    async with Bench(target) as bench:
        await _server(Tools(root, bench)).run_stdio_async()


async def serve_http(root: TaskFolder, target: str, listening: socket.socket, tokens: Mapping[str, str]) -> None:
    """Serves clients on this machine until Ctrl-C; `tokens` has one for each client's name."""
    url = AnyHttpUrl(f"http://{http.HOST}:{listening.getsockname()[1]}")
    # The SDK wants the issuer of the tokens: it is this server, and there is nothing to discover about it.
    auth = {"auth": AuthSettings(issuer_url=url, resource_server_url=None), "token_verifier": Tokens(tokens)}
    async with Bench(target) as bench:
        server = _server(Tools(root, bench), **auth)
        app = server.streamable_http_app(
            streamable_http_path=PATH, host=http.HOST, max_request_body_size=LARGEST_REQUEST
        )
        await http.serve(app, listening)


def _server(tools: Tools, **auth: Any) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer(
        "kernelwright", version=version("kernelwright"), instructions=_INSTRUCTIONS, log_level="WARNING", **auth
    )
    for tool in tools.offered:
        server.add_tool(_explained(tool))
    return server


def _explained(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool with its errors as the SDK passes them on; the text of any other exception stays here."""

    @contextmanager
    def explaining() -> Iterator[None]:
        try:
            yield
        except KernelwrightError as error:
            raise ToolError(str(error)) from error

    @wraps(tool)
    async def call(**arguments: Any) -> Any:
        with explaining():
            return await tool(**arguments)

    return call if iscoroutinefunction(tool) else explaining()(tool)
