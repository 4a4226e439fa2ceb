"""OpenAI's chat completions as far as the relay needs them: what is asked, and what is answered.

Usage is an estimate: one token for four characters. Nobody counts tokens when a person answers.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal

from pydantic import BaseModel, Field

MODEL = "relay"
_CHARACTERS_A_TOKEN = 4


class TextPart(BaseModel):
    """A part of a message; only text can be shown in a file."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        """All text of it."""
        return self.content if isinstance(self.content, str) else "\n\n".join(part.text for part in self.content)


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
    tool_choice: Literal["none", "auto"] | None = None

    @property
    def prompt(self) -> str:
        """The request as a person reads it. Requests for different models or with different seeds differ in it."""
        about = f"model {self.model}" if self.seed is None else f"model {self.model}, seed {self.seed}"
        parts = [f"<!-- {about} -->", *(f"# {message.role}\n\n{message.text.strip()}" for message in self.messages)]
        if self.response_format and self.response_format.type != "text":
            schema = self.response_format.json_schema
            parts.append("# format\n\nAnswer with JSON and nothing else." + (f"\n\n{_block(schema)}" if schema else ""))
        return "\n\n".join(parts) + "\n"

    def completion(self, number: int, reply: str) -> dict[str, Any]:
        """The answer in one piece."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply},
            "finish_reason": "stop",
            "logprobs": None,
        }
        return {**self._head(number, "chat.completion"), "choices": [choice], "usage": self._usage(reply)}

    def events(self, number: int, reply: str) -> str:
        """The answer as the events of a stream."""
        head = self._head(number, "chat.completion.chunk")
        whole = {"index": 0, "delta": {"role": "assistant", "content": reply}, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks: list[dict[str, Any]] = [{**head, "choices": [whole]}, {**head, "choices": [end]}]
        if self.stream_options and self.stream_options.include_usage:
            chunks.append({**head, "choices": [], "usage": self._usage(reply)})
        return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"

    def _head(self, number: int, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{number:04}", "object": kind, "created": int(time.time()), "model": self.model}

    def _usage(self, reply: str) -> dict[str, int]:
        sent, received = (-(-len(text) // _CHARACTERS_A_TOKEN) for text in (self.prompt, reply))
        return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


def _block(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2)}\n```"
