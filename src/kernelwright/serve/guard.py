"""Who may ask the relay, and how much at once."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def refusal(status: int, message: str) -> JSONResponse:
    """An error as OpenAI's clients expect it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error: dict[str, Any] = {"message": message, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": error}, status_code=status)


class Guard:
    """ASGI middleware: lets through what bears the token and whose body is within the limit.

    The token is looked at before a byte of the body is read. The body is read here, at most `limit` bytes of it.
    """

    def __init__(self, app: ASGIApp, *, token: str, limit: int) -> None:
        self._app, self._token, self._limit = app, f"Bearer {token}".encode(), limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request itself or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not secrets.compare_digest(headers.get("authorization", "").encode(), self._token):
            await refusal(401, "the token is wrong or missing; it was printed when the relay started")(
                scope, receive, send
            )
            return
        body = await self._body(receive)
        if body is None:
            await refusal(413, f"the request is larger than {self._limit} bytes")(scope, receive, send)
            return
        await self._app(scope, _replaying(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None where it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
