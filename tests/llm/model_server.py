"""A local HTTP server that speaks to clients as the endpoints of language models do, by a script.

It speaks OpenAI's chat completions (`POST /v1/chat/completions`), Anthropic's messages (`POST /v1/messages`) and
Google's `generateContent`, without streaming, as the providers' own SDKs use them. What it answers is said by `Say` and
the faults below it:

    with ModelServer([Say("first"), Fault(status=500), Say("second")]) as server:      # in this order, then again
        ... base_url=server.url ...
    with ModelServer(lambda request: Say(f"you said {request.turns[-1]}")) as server:  # or by the prompt
        ...
    server.requests                       # what came in, in its order
    server.input_tokens, .output_tokens   # what it reported to have charged, exactly
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Request:
    """A request as the server understood it. `key` is the key that came with it, `headers` in lower case."""

    path: str
    key: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    system: str
    turns: tuple[str, ...]
    results: tuple[str, ...] = ()
    """What tools returned, all of the conversation's."""

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that are offered."""
        found = (
            tool.get("functionDeclarations") or [tool.get("function", tool)] for tool in self.body.get("tools") or ()
        )
        return tuple(function["name"] for functions in found for function in functions if "name" in function)

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))


@dataclass(frozen=True)
class Say:
    """A reply. `finish` is `stop`, `length` (cut off), `refusal` or `tool`; `calls` are names and arguments of tools
    that it calls, arguments as an object or as any text; `thinking` comes before the text (Anthropic's only); `usage`
    False leaves it out; `logprobs` are those of the reply's tokens; `after_s` is how long it takes."""

    text: str = ""
    finish: str = "stop"
    calls: Sequence[tuple[str, Any]] = ()
    thinking: str = ""
    input_tokens: int = 11
    output_tokens: int = 7
    usage: bool = True
    logprobs: Sequence[float] | None = None
    after_s: float = 0.0


@dataclass(frozen=True)
class Fault:
    """An HTTP error: a status, a `Retry-After` in seconds or as given, and what the body says."""

    status: int = 500
    message: str = "scripted fault"
    code: str = ""
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """A body as it is. `length` claims another size, so that a larger one breaks off in mid-body."""

    body: bytes = b""
    content_type: str = "application/json"
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Flood:
    """A reply of so many bytes that never ends well."""

    megabytes: int = 64


@dataclass(frozen=True)
class Stall:
    """Nothing for so long, or a byte every now and then; ends when the client goes or the server closes."""

    seconds: float = 60.0
    drip: bool = False


@dataclass(frozen=True)
class Disconnect:
    """The connection is reset: before a reply, or in the middle of its body."""

    in_body: bool = True


Answer = Say | Fault | Raw | Flood | Stall | Disconnect
Script = Sequence[Answer] | Callable[[Request], Answer]


class ModelServer:
    """The server, on a free port of loopback, while its `with` block is open.

    `url` is the `base_url` for OpenAI-compatible clients, `root` for Anthropic's and Google's.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self.requests: list[Request] = []
        self.input_tokens = self.output_tokens = 0
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.root}/v1"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next(self, request: Request) -> Answer:
        """What to answer; notes the request and what it is charged."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            answer = self._script(request) if callable(self._script) else self._script[number % len(self._script)]
            if isinstance(answer, Say) and answer.usage:
                self.input_tokens += answer.input_tokens
                self.output_tokens += answer.output_tokens
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    owner: ModelServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = _request(self.path.partition("?")[0], headers, body)
        try:
            self.answer(request, self.owner.next(request))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, Say):
            self.owner.closing.wait(answer.after_s)
            self.send(200, json.dumps(reply_body(request, answer)).encode())
        elif isinstance(answer, Fault):
            headers = dict(answer.headers)
            if answer.retry_after is not None:
                headers["Retry-After"] = answer.retry_after
            error = {"message": answer.message, "type": "scripted", "code": answer.code or None}
            self.send(answer.status, json.dumps({"type": "error", "error": error}).encode(), headers=headers)
        elif isinstance(answer, Raw):
            headers = {**answer.headers, "Connection": "close"}
            self.send(200, answer.body, answer.content_type, headers, length=answer.length)
            self.close_connection = True
        elif isinstance(answer, Flood):
            self.flood(answer.megabytes)
        elif isinstance(answer, Stall):
            self.stall(answer)
        else:
            if answer.in_body:
                self.send(200, b'{"id": "x", "choices": [{"mess', length=4096)
            self.reset()

    def send(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def flood(self, megabytes: int) -> None:
        self.close_connection = True
        self.send(200, b'{"id": "', length=megabytes << 20)
        for _ in range(16 * megabytes):
            self.wfile.write(b"x" * (1 << 16))

    def stall(self, stall: Stall) -> None:
        self.close_connection = True
        if stall.drip:
            self.send(200, b"{", length=1 << 20)
            while not self.owner.closing.wait(0.02):
                self.wfile.write(b" ")
        self.owner.closing.wait(stall.seconds)

    def reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


def _protocol(path: str) -> str:
    return "anthropic" if path.endswith("/messages") else "google" if ":generateContent" in path else "openai"


def _request(path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Request:
    key = headers.get("x-api-key") or headers.get("x-goog-api-key") or headers.get("authorization", "")
    protocol = _protocol(path)
    if protocol == "google":
        turns = [_text(content["parts"]) for content in body["contents"]]
        system = _text(body.get("systemInstruction", {}).get("parts", []))
    else:
        messages = body["messages"]
        system = "".join(_text(each["content"]) for each in messages if each["role"] in ("system", "developer"))
        system += _text(body.get("system", ""))
        turns = [_text(each["content"]) for each in messages if each["role"] in ("user", "assistant")]
    results = tuple(_results(body))
    return Request(path, key.removeprefix("Bearer "), headers, body, system, tuple(turns), results)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


def _results(body: dict[str, Any]) -> Iterator[str]:
    for message in body.get("messages", ()):
        if message["role"] == "tool":
            yield _text(message["content"])
        elif isinstance(message.get("content"), list):
            yield from (_text(part["content"]) for part in message["content"] if part.get("type") == "tool_result")
    for part in (part for content in body.get("contents", ()) for part in content["parts"]):
        if "functionResponse" in part:
            yield "".join(part["functionResponse"]["response"].values())


def reply_body(request: Request, say: Say) -> dict[str, Any]:
    """A reply in the form of the protocol that the request came in."""
    return {"openai": _openai, "anthropic": _anthropic, "google": _google}[_protocol(request.path)](request, say)


def _openai(request: Request, say: Say) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": say.text}
    if say.finish == "refusal":
        message.update(content=None, refusal=say.text)
    if calls := _calls(say):
        made = [(name, given if isinstance(given, str) else json.dumps(given)) for name, given in calls]
        functions = [{"name": name, "arguments": given} for name, given in made]
        message["content"] = say.text or None
        # Some servers give each call the same id.
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": each} for each in functions]
    choice: dict[str, Any] = {"index": 0, "message": message, "native_finish_reason": say.finish}
    finish = "tool" if say.calls else say.finish
    choice["finish_reason"] = {"tool": "tool_calls", "refusal": "stop"}.get(finish, finish)
    if say.logprobs is not None:
        choice["logprobs"] = {
            "content": [{"token": "t", "logprob": value, "top_logprobs": []} for value in say.logprobs]
        }
    reply = {"id": "c1", "object": "chat.completion", "created": 1, "model": request.model, "choices": [choice]}
    reply["provider"] = "scripted"  # this and the native reason are OpenRouter's
    if say.usage:
        total = say.input_tokens + say.output_tokens
        counts = {"prompt_tokens": say.input_tokens, "completion_tokens": say.output_tokens, "total_tokens": total}
        reply["usage"] = counts
    return reply


def _calls(say: Say) -> Sequence[tuple[str, Any]]:
    return say.calls or ([("run", {})] if say.finish == "tool" else [])


def _anthropic(request: Request, say: Say) -> dict[str, Any]:
    calls = _calls(say)
    thought = {"type": "thinking", "thinking": say.thinking, "signature": f"signed {say.thinking}"}
    content: list[dict[str, Any]] = [thought] if say.thinking else []
    content += [] if calls and not say.text else [{"type": "text", "text": say.text}]
    content += [
        {"type": "tool_use", "id": f"t{at}", "name": name, "input": made} for at, (name, made) in enumerate(calls)
    ]
    finish = "tool" if calls else say.finish
    stop = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}.get(finish, finish)
    used = {"input_tokens": say.input_tokens, "output_tokens": say.output_tokens}
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": used if say.usage else {"input_tokens": 0, "output_tokens": 0},
    }


def _google(request: Request, say: Say) -> dict[str, Any]:
    finish = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}.get(say.finish, say.finish)
    # The first call of a reply is signed, and is refused without its signature later.
    parts: list[dict[str, Any]] = [{"functionCall": {"name": name, "args": given}} for name, given in _calls(say)]
    parts = [{**part, "thoughtSignature": "c2lnbmVk"} if at == 0 else part for at, part in enumerate(parts)]
    parts = [*([{"text": say.text}] if say.text or not parts else []), *parts]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP" if finish == "tool" else finish}
    counts = {"promptTokenCount": say.input_tokens, "candidatesTokenCount": say.output_tokens}
    counts["totalTokenCount"] = say.input_tokens + say.output_tokens
    return {"candidates": [candidate], "usageMetadata": counts if say.usage else {}, "modelVersion": request.model}
