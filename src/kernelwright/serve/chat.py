"""OpenAI's chat completions as far as the relay needs them: what is asked, and what is answered.

Usage is an estimate: one token for four characters. Nobody counts tokens when a person answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from kernelwright.knowledge.document import CONTROL
from kernelwright.serve import calling
from kernelwright.serve.calling import Answer, Call, Offer

MODEL = "relay"
_CHARACTERS_A_TOKEN = 4


class TextPart(BaseModel):
    """A part of a message; only text can be shown in a file."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of the conversation; `tool_calls` are those that it made, and one of a tool has the result of the
    call `tool_call_id`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """All text of it."""
        if isinstance(self.content, str):
            return self.content.strip()
        return "\n\n".join(part.text for part in self.content or ()).strip()


class ResponseFormat(BaseModel):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class StreamOptions(BaseModel):
    """Whether a stream ends with the usage."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """The fields of a request that the relay obeys; it ignores the others, such as `temperature`."""

    model: str = Field(max_length=200)
    messages: list[Message] = Field(min_length=1)
    n: Literal[1] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    tools: list[Offer] | None = Field(None, max_length=128)
    tool_choice: Literal["none", "auto"] | None = None

    @property
    def offers(self) -> list[Offer]:
        """The tools that may be called."""
        return self.tools or [] if self.tool_choice != "none" else []

    @property
    def prompt(self) -> str:
        """The request as a person reads it, in a terminal too: characters that one would obey are marked. Requests for
        different models or with different seeds differ in it."""
        about = f"model {self.model}" if self.seed is None else f"model {self.model}, seed {self.seed}"
        tools = [calling.shown(self.offers)] if self.offers else []
        parts = [f"<!-- {about} -->", *tools, *self._conversation()]
        if self.response_format and self.response_format.type != "text":
            schema = self.response_format.json_schema
            parts.append("# format\n\nAnswer with JSON and nothing else." + (f"\n\n{_block(schema)}" if schema else ""))
        text = "\n\n".join(parts).replace("\r\n", "\n")
        return CONTROL.sub("�", text) + "\n"

    def completion(self, number: int, reply: str) -> dict[str, Any]:
        """The answer in one piece."""
        answer = calling.read(reply, self.offers)
        choice = {
            "index": 0,
            "message": {"role": "assistant", **_content(number, answer)},
            "finish_reason": _finish(answer),
            "logprobs": None,
        }
        return {**self._head(number, "chat.completion"), "choices": [choice], "usage": self._usage(reply)}

    def events(self, number: int, reply: str) -> str:
        """The answer as the events of a stream."""
        head, answer = self._head(number, "chat.completion.chunk"), calling.read(reply, self.offers)
        delta = {"role": "assistant", **_content(number, answer)}
        whole = {"index": 0, "delta": delta, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": _finish(answer)}
        chunks: list[dict[str, Any]] = [{**head, "choices": [whole]}, {**head, "choices": [end]}]
        if self.stream_options and self.stream_options.include_usage:
            chunks.append({**head, "choices": [], "usage": self._usage(reply)})
        return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"

    def _conversation(self) -> Iterator[str]:
        """The messages. Ids of calls are not shown: the same conversation is the same prompt."""
        names = {call.id: call.function.name for message in self.messages for call in message.tool_calls or ()}
        for message in self.messages:
            who = f"result of {names.get(message.tool_call_id, 'a tool')}" if message.role == "tool" else message.role
            calls = (calling.block(call.function, self.tools or ()) for call in message.tool_calls or ())
            yield "\n\n".join(part for part in (f"# {who}", message.text, *calls) if part)

    def _head(self, number: int, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{number:04}", "object": kind, "created": int(time.time()), "model": self.model}

    def _usage(self, reply: str) -> dict[str, int]:
        sent, received = (-(-len(text) // _CHARACTERS_A_TOKEN) for text in (self.prompt, reply))
        return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


def _content(number: int, answer: Answer) -> dict[str, Any]:
    """Text and calls of a message."""
    calls = [
        {"index": at, "id": f"call_{number:04}_{at}", "type": "function", "function": called.model_dump()}
        for at, called in enumerate(answer.calls)
    ]
    return {"content": answer.text or None, "tool_calls": calls} if calls else {"content": answer.text}


def _finish(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _block(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2)}\n```"
