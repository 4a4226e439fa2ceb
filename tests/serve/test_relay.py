"""The relay as its users meet it: the program, HTTP, files."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serve_helpers import Program, program

from kernelwright.errors import EXIT_USAGE

PATH = "/v1/chat/completions"


@dataclass
class Running:
    program: Program
    folder: Path
    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def ask(self, text: str, timeout: float = 60, **more: Any) -> httpx2.Response:
        return httpx2.post(self.url + PATH, json=asked(text, **more), headers=self.headers, timeout=timeout)

    def prompt(self, text: str) -> Path | None:
        found = [path for path in self.folder.glob("*.prompt.md") if text in path.read_text()]
        assert len(found) <= 1
        return found[0] if found else None

    def answer(self, text: str, reply: str) -> None:
        """Waits for the prompt with this text and answers it with a renamed file."""
        end = time.monotonic() + 60
        while (path := self.prompt(text)) is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        draft = path.with_suffix(".draft")
        draft.write_text(reply)
        time.sleep(0.02)
        draft.rename(path.with_name(path.name.replace("prompt", "reply")))

    def answer_later(self, text: str, reply: str) -> None:
        threading.Thread(target=self.answer, args=(text, reply), daemon=True).start()


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "relay", "messages": [{"role": "user", "content": text}], **more}


def started(running: Program, folder: Path) -> Running:
    url = running.expect(r"--base-url (http://127\.0\.0\.1:\d+)/v1")[1]
    return Running(running, folder, url, running.expect("KERNELWRIGHT_API_KEY=(.+)")[1])


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("relay") / "box"
    with program("relay", folder, "--port", "0") as running:
        yield started(running, folder)


def test_a_prompt_becomes_a_file_and_a_file_the_reply(relay: Running) -> None:
    relay.answer_later("Write a kernel", "Here it is: ü\n")
    messages = [
        {"role": "system", "content": "You write C++."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Write a kernel"}, {"type": "text", "text": "for relu."}],
        },
    ]
    response = relay.ask("", messages=messages)
    answer = response.json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Here it is: ü"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    prompt = relay.prompt("Write a kernel").read_text()
    assert prompt == "<!-- model relay -->\n\n# system\n\nYou write C++.\n\n# user\n\nWrite a kernel\n\nfor relu.\n"
    usage = answer["usage"]
    assert usage["prompt_tokens"] == -(-len(prompt) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_prompt_holds_nothing_that_a_terminal_obeys(relay: Running) -> None:
    """Whoever answers looks at it there, and what models wrote before is in it."""
    relay.answer_later("a title", "seen")
    assert relay.ask("a title \x1b]0;owned\x07 \x9b1m\r\nand more").status_code == 200
    assert relay.prompt("a title").read_text().endswith("a title �]0;owned� �1m\nand more\n")


def test_the_same_prompt_again_has_its_reply_already(relay: Running) -> None:
    relay.answer_later("asked twice", "once")
    first, second = relay.ask("asked twice"), relay.ask("asked twice", timeout=3)
    assert first.json()["choices"] == second.json()["choices"]
    assert first.json()["id"] == second.json()["id"]


def test_seeds_and_models_make_prompts_of_their_own(relay: Running) -> None:
    for more in ({"seed": 1}, {"seed": 2}, {"model": "other"}):
        with pytest.raises(httpx2.ReadTimeout):
            relay.ask("sampled", timeout=0.3, **more)
    written = [path.read_text() for path in relay.folder.glob("*.prompt.md")]
    heads = sorted(text.splitlines()[0] for text in written if "sampled" in text)
    assert heads == ["<!-- model other -->", "<!-- model relay, seed 1 -->", "<!-- model relay, seed 2 -->"]


def test_what_form_the_answer_must_have_is_in_the_prompt(relay: Running) -> None:
    schema = {"name": "plan", "schema": {"type": "object"}}
    relay.answer_later("as JSON", "{}")
    relay.ask("as JSON", response_format={"type": "json_schema", "json_schema": schema})
    assert '"name": "plan"' in relay.prompt("as JSON").read_text()


def test_a_stream(relay: Running) -> None:
    relay.answer_later("streamed", "flowing")
    response = relay.ask("streamed", stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == "flowing"
    assert chunks[-1]["usage"]["completion_tokens"] == 2


def test_models(relay: Running) -> None:
    listed = httpx2.get(f"{relay.url}/v1/models", headers=relay.headers).json()
    assert [model["id"] for model in listed["data"]] == ["relay"]


def test_the_openai_client(relay: Running) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key=relay.token, base_url=f"{relay.url}/v1", max_retries=0, timeout=20)
    relay.answer_later("by the SDK", "answered")
    done = client.chat.completions.create(**asked("by the SDK"))
    assert done.choices[0].message.content == "answered"
    stream = client.chat.completions.create(**asked("by the SDK"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "answered"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").chat.completions.create(**asked("by the SDK"))


def test_many_wait_at_once_and_each_gets_its_own(relay: Running) -> None:
    async def all_of_them() -> list[str]:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(headers=relay.headers, timeout=60, limits=limits) as client:
            posts = [client.post(relay.url + PATH, json=asked(f"crowd {n:03}.")) for n in range(100)]
            waiting = asyncio.gather(*posts)
            while (
                len(names := [path for path in relay.folder.glob("*.prompt.md") if "crowd" in path.read_text()]) < 100
            ):
                await asyncio.sleep(0.05)
            for name in names:
                name.with_name(name.name.replace("prompt", "reply")).write_text(name.read_text().strip()[-4:])
            return [response.json()["choices"][0]["message"]["content"] for response in await waiting]

    assert asyncio.run(all_of_them()) == [f"{n:03}." for n in range(100)]


@pytest.mark.parametrize("stream", [False, True])
def test_an_asker_that_goes_away_is_noticed_and_its_reply_kept(relay: Running, stream: bool) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        relay.ask(f"impatient {stream}", timeout=0.3, stream=stream)
    number = relay.prompt(f"impatient {stream}").name[:4]
    relay.program.expect(f"{number} its asker went away")
    relay.answer(f"impatient {stream}", "late")
    assert "late" in relay.ask(f"impatient {stream}", timeout=5, stream=stream).text


@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", "Bearer", "Basic {token}", "{token}", "Bearer {token}x", "Bearer é"]
)
@pytest.mark.parametrize("path", [PATH, "/v1/models", "/openapi.json", "/"])
def test_without_the_token_there_is_nothing(relay: Running, given: str | None, path: str) -> None:
    headers = {"Authorization": given.format(token=relay.token).encode()} if given else {}
    response = httpx2.post(relay.url + path, json=asked("uninvited"), headers=headers)
    assert response.status_code == 401
    assert "token" in response.json()["error"]["message"]
    assert relay.prompt("uninvited") is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "evil.example:8450", ""])
def test_another_sites_name_is_refused(relay: Running, host: str) -> None:
    response = httpx2.post(relay.url + PATH, json=asked("rebound"), headers={**relay.headers, "Host": host})
    assert response.status_code == 400
    assert relay.prompt("rebound") is None


def chunks() -> Iterator[bytes]:
    for _ in range(100):
        yield b"x" * (1 << 20)


TOOL = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = [
    {"type": "function", "function": {"name": "note", "description": "Notes it.", "parameters": TOOL}},
    {"type": "function", "function": {"name": "stop"}},
]
CALLS = """I note two things.

```call note
one "λ" as it is
```

````call note
{"text": "```two```"}
````

```call stop
```
"""


def test_tools_are_called_by_blocks(relay: Running) -> None:
    relay.answer_later("use the tools", CALLS)
    choice = relay.ask("use the tools", tools=TOOLS).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "I note two things.")
    calls = choice["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["note", "note", "stop"]
    given = [json.loads(call["function"]["arguments"]) for call in calls]
    assert given == [{"text": 'one "λ" as it is'}, {"text": "```two```"}, {}]
    assert "Notes it." in relay.prompt("use the tools").read_text()

    results = [{"role": "tool", "tool_call_id": call["id"], "content": f"done {call['id']}"} for call in calls]
    messages = [*asked("use the tools")["messages"], choice["message"], *results]
    relay.answer_later(f"done {calls[2]['id']}", "```call stop\nnever ended")
    last = relay.ask("", tools=TOOLS, messages=messages).json()["choices"][0]
    assert (last["finish_reason"], last["message"]["content"]) == ("stop", "```call stop\nnever ended")
    shown = relay.prompt(f"done {calls[2]['id']}").read_text()
    assert "# result of note" in shown
    assert "````call note\n```two```\n````" in shown


def test_an_empty_block_is_an_empty_text(relay: Running) -> None:
    relay.answer_later("say nothing", "```call note\n```")
    (call,) = relay.ask("say nothing", tools=TOOLS).json()["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"text": ""}


@pytest.mark.parametrize("body", [b"x" * (9 << 20), chunks], ids=["told", "chunked"])
def test_huge_bodies_are_refused(relay: Running, body: Any) -> None:
    try:
        status = httpx2.post(
            relay.url + PATH, content=body() if callable(body) else body, headers=relay.headers
        ).status_code
    except httpx2.TransportError:  # the connection was closed while the rest was still being sent
        status = 413
    assert status == 413


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "required"),
        (b"{", "JSON"),
        (b"[" * 100_000, ""),
        (b"[]", ""),
        (b"\xff\xfe", ""),
        (json.dumps({"model": "relay"}).encode(), "messages"),
        (json.dumps(asked("x", messages=[])).encode(), "messages"),
        (json.dumps(asked("x", messages=[{"role": "robot", "content": "x"}])).encode(), "messages.0.role"),
        (json.dumps(asked("x", tools=[{"type": "web_search"}])).encode(), "tools.0.type"),
        (json.dumps(asked("x", messages=[{"role": "user", "content": [{"type": "image_url"}]}])).encode(), "content"),
        (json.dumps(asked("x", n=2)).encode(), "n: "),
        (json.dumps(asked("x", model="m" * 10_000)).encode(), "model"),
        (json.dumps(asked("x", tool_choice="required")).encode(), "tool_choice"),
    ],
)
def test_what_is_no_request_is_told_so(relay: Running, body: bytes, named: str) -> None:
    headers = {**relay.headers, "Content-Type": "application/json"}
    response = httpx2.post(relay.url + PATH, content=body, headers=headers)
    assert response.status_code == 400
    assert named in response.json()["error"]["message"]


def test_names_in_a_request_name_no_files(relay: Running) -> None:
    before = set(relay.folder.parent.rglob("*"))
    with pytest.raises(httpx2.ReadTimeout):
        relay.ask("somewhere else", timeout=0.3, model="../../outside\n/etc/passwd")
    new = set(relay.folder.parent.rglob("*")) - before
    assert {path.name.partition(".")[2] for path in new} == {"prompt.md"}
    assert all(path.parent == relay.folder for path in new)


def test_the_token_is_in_a_file_of_the_owners_alone(relay: Running) -> None:
    file = relay.folder / "token"
    assert file.read_text().strip() == relay.token
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_reply_that_cannot_be_sent_is_told_to_both_sides(relay: Running) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        relay.ask("too much", timeout=0.3)
    number = relay.prompt("too much").name[:4]
    with (relay.folder / f"{number}.reply.md").open("w") as file:
        file.truncate(1 << 40)
    response = relay.ask("too much")
    assert response.status_code == 500
    assert f"{number}.reply.md: the reply is larger than" in response.json()["error"]["message"]
    relay.program.expect(f"{number} cannot be answered: its reply is too large")


def test_a_folder_in_the_place_of_a_reply_is_told_and_waited_on(relay: Running) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        relay.ask("no file", timeout=0.3)
    number = relay.prompt("no file").name[:4]
    place = relay.folder / f"{number}.reply.md"
    place.mkdir()

    def mend() -> None:
        relay.program.expect(rf"{number} still waits: .*{number}\.reply\.md is a folder; put a file in its place")
        place.rmdir()
        relay.answer("no file", "mended")

    threading.Thread(target=mend, daemon=True).start()
    assert relay.ask("no file").json()["choices"][0]["message"]["content"] == "mended"


def test_a_restart_changes_nothing_for_who_asks_again(tmp_path: Path) -> None:
    with program("relay", tmp_path, "--port", "0") as first:
        relay = started(first, tmp_path)
        with pytest.raises(httpx2.ReadTimeout):
            relay.ask("interrupted", timeout=0.3)
        first.end(signal.SIGKILL)
    relay.answer("interrupted", "it was kept")
    with program("relay", tmp_path, "--port", "0") as second:
        again = started(second, tmp_path)
        assert again.token == relay.token
        assert again.ask("interrupted", timeout=5).json()["choices"][0]["message"]["content"] == "it was kept"
        assert len(list(tmp_path.glob("*.prompt.md"))) == 1


def test_ctrl_c_tells_those_who_wait(tmp_path: Path) -> None:
    with program("relay", tmp_path, "--port", "0") as running:
        relay = started(running, tmp_path)
        asking: list[httpx2.Response] = []
        thread = threading.Thread(target=lambda: asking.append(relay.ask("too late")))
        thread.start()
        running.expect("0001 waits")
        assert running.end(signal.SIGINT) == 0
        thread.join(5)
        assert asking[0].status_code == 503
        assert "0001" in asking[0].json()["error"]["message"]
        assert "Traceback" not in running.said


def test_a_port_that_is_taken(relay: Running, tmp_path: Path) -> None:
    port = relay.url.rpartition(":")[2]
    with program("relay", tmp_path, "--port", port) as running:
        assert running.process.wait(30) == EXIT_USAGE
        running.expect(f"error: --port: cannot listen on port {port}: .*; choose another port")


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kw-0123456789abcdef\n")
    (tmp_path / "token").chmod(0o644)
    with program("relay", tmp_path, "--port", "0") as running:
        running.expect("others may read the token")
        assert running.process.wait(30) == EXIT_USAGE
