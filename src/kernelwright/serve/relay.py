"""An OpenAI-compatible endpoint whose model is whoever answers: a file in, a file out."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from kernelwright.errors import KernelwrightError
from kernelwright.serve import http
from kernelwright.serve.chat import MODEL, ChatRequest
from kernelwright.serve.guard import Guard, refusal
from kernelwright.serve.mailbox import Mailbox

LARGEST_REQUEST = 8 << 20
MOST_WAITING = 1000
_BEAT_S = 10.0
Outcome = Literal["waits", "blocked", "answered", "failed", "left"]


@dataclass(frozen=True)
class Event:
    """What became of a prompt: it waits, has something in the place of its reply that cannot be read, was answered,
    has a reply that cannot be sent, or its asker went away.

    `characters` are those of the prompt, of an answer those of the reply; `waiting` are the prompts that do wait; `why`
    says of what is in a reply's place why it cannot be read.
    """

    kind: Outcome
    number: int
    characters: int
    seconds: float
    waiting: tuple[int, ...]
    why: str = ""


class Relay:
    """The endpoint. Life cycle: made over a mailbox; `run` until Ctrl-C, when those who still wait are told so.

    `listener` is called with each event, in the server's thread.
    """

    def __init__(self, mailbox: Mailbox, token: str, listener: Callable[[Event], None]) -> None:
        self._mailbox, self._token, self._listener = mailbox, token, listener
        self._stopping = asyncio.Event()
        self._waiting: Counter[int] = Counter()

    async def run(self, listening: socket.socket) -> None:
        """Serves until Ctrl-C."""
        await http.serve(self.app(), listening, stopping=self._stopping.set)

    def app(self) -> Any:
        """The ASGI application."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_api_route("/v1/chat/completions", self._complete, methods=["POST"], response_model=None)
        app.add_api_route("/v1/models", _models, methods=["GET"], response_model=None)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_exception_handler(HTTPException, _failed)
        app.add_exception_handler(KernelwrightError, _told)
        guarded = Guard(app, token=self._token, limit=LARGEST_REQUEST)
        # Another site's page may reach this address under that site's name (DNS rebinding).
        return TrustedHostMiddleware(guarded, allowed_hosts=[http.HOST, "localhost"], www_redirect=False)

    async def _complete(self, chat: ChatRequest, request: Request) -> Response:
        if self._waiting.total() >= MOST_WAITING:
            return refusal(429, f"{MOST_WAITING} requests wait for replies already")
        number = self._mailbox.post(chat.prompt)
        if chat.stream:
            return StreamingResponse(self._stream(chat, number, request), media_type="text/event-stream")
        async with aclosing(self._replies(number, len(chat.prompt), request)) as replies:
            async for reply in replies:
                if reply is not None:
                    return JSONResponse(chat.completion(number, reply))
        return refusal(503, f"the relay stopped; prompt {number:04} keeps its number")

    async def _stream(self, chat: ChatRequest, number: int, request: Request) -> AsyncIterator[str]:
        async with aclosing(self._replies(number, len(chat.prompt), request)) as replies:
            async for reply in replies:
                yield ": still waiting\n\n" if reply is None else chat.events(number, reply)

    async def _replies(self, number: int, size: int, request: Request) -> AsyncGenerator[str | None, None]:
        """None every few seconds for as long as there is no reply, then the reply. It ends without one when the asker
        goes away or the relay stops."""
        outcome: Outcome = "left"
        begun = time.monotonic()
        reply = asyncio.ensure_future(
            self._mailbox.reply(number, lambda why: self._tell("blocked", number, size, time.monotonic() - begun, why))
        )
        gone = asyncio.ensure_future(request.receive())  # the request was read: what still comes is its end
        stop = asyncio.ensure_future(self._stopping.wait())
        self._waiting[number] += 1
        self._tell("waits", number, size, 0.0)
        try:
            while not (gone.done() or stop.done()):
                await asyncio.wait((reply, gone, stop), timeout=_BEAT_S, return_when=asyncio.FIRST_COMPLETED)
                if reply.done():
                    size, outcome = len(reply.result()), "answered"
                    yield reply.result()
                    return
                yield None
        except KernelwrightError:
            outcome = "failed"
            raise
        finally:
            for task in (reply, gone, stop):
                task.cancel()
            self._waiting -= Counter([number])
            if outcome != "left" or not self._stopping.is_set():
                self._tell(outcome, number, size, time.monotonic() - begun)

    def _tell(self, kind: Outcome, number: int, characters: int, seconds: float, why: str = "") -> None:
        self._listener(Event(kind, number, characters, seconds, tuple(sorted(self._waiting)), why))


async def _models() -> Response:
    return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "kernelwright"}]})


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return refusal(400, f"{where}: {first['msg']}" if where else first["msg"])


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail)


async def _told(_: Request, error: Exception) -> Response:
    return refusal(500, str(error))
