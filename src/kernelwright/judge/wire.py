"""What the judge and its workers may say to each other: JSON objects behind a length, over a Unix socket; descriptors
beside them.

Standard library only: both sides import it. A worker's message is a claim by code that nobody trusts, so reading is
bounded in size, depth and time, and whatever does not parse is a `WireError`, never a crash of the reader. What the
judge says has no limit: a live module's weights are among it.
"""

from __future__ import annotations

import array
import json
import socket
import struct
import time
from typing import Any

HEADER = struct.Struct("!Q")
PLACES = 8
"""Outputs of one call whose addresses a worker notes while it goes on to the next."""
FIRST_CALL = 2
"""The number of the first call's turnstile on a device; behind the one before it is a kernel of our own."""
HANDLE_BYTES = 64
"""Size of CUDA's handles for other processes."""
LIMIT = 64 << 20
"""Bytes a worker's message may have: an exported graph of a large model is a few MiB."""

PROBE = b"readable"
"""What lies at the address in a worker's greeting, for the judge to read."""


class WireError(Exception):
    """The peer broke the protocol: a message too long, cut off, or not a JSON object."""


class Closed(WireError):
    """The peer's end is closed: its process is gone."""


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Sends one message, blocking until the peer has taken it. Raises `Closed`: the peer is gone."""
    data = memoryview(pack(message))
    try:
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            data = data[sock.sendmsg([data], rights) :]
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed("the peer is gone") from error


def pack(message: dict[str, Any]) -> bytes:
    """One message as it goes over the socket."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return HEADER.pack(len(body)) + body


def receive(sock: socket.socket, timeout: float | None = None, limit: int | None = LIMIT) -> dict[str, Any]:
    """Receives one message. Raises as `receive_bytes` does, and `WireError` where it is no message."""
    return parse(receive_bytes(sock, timeout, limit))


def receive_bytes(sock: socket.socket, timeout: float | None = None, limit: int | None = LIMIT) -> bytearray:
    """Receives one message's bytes, all of them, without making sense of it.

    Args:
        sock: the socket.
        timeout: seconds for the whole message; None waits for ever.
        limit: the bytes it may have; None for a peer that is trusted.

    Raises:
        TimeoutError: it did not arrive in time.
        Closed: the peer is gone.
        WireError: it is over the limit.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    (length,) = HEADER.unpack(_exactly(sock, HEADER.size, deadline))
    if limit is not None and length > limit:
        raise WireError(f"a message of {length} bytes is over the limit of {limit}")
    return _exactly(sock, length, deadline)


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """One message's bytes as an object. Raises `WireError` when they are none."""
    try:
        message = json.loads(body.decode())
        if b"\\ud" in body.lower():
            message = _whole(message)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise WireError(f"not a JSON object but {type(message).__name__}")
    return message


def _whole(value: Any) -> Any:
    """The same with a question mark for each half of a character: JSON can say those, and no file or database takes
    them."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(entry) for key, entry in value.items()}
    return value


def receive_fds(sock: socket.socket, count: int) -> tuple[dict[str, Any], list[int]]:
    """Receives one message and up to `count` descriptors sent with it. Raises as `receive` does."""
    data, ancillary, _, _ = sock.recvmsg(HEADER.size, socket.CMSG_SPACE(count * 4))
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if not data:
        raise Closed("the peer is gone")
    (length,) = HEADER.unpack(data + bytes(_exactly(sock, HEADER.size - len(data), None)))
    return parse(_exactly(sock, length, None)), list(fds)


def _exactly(sock: socket.socket, count: int, deadline: float | None) -> bytearray:
    """`count` bytes from the socket, by the deadline on the monotonic clock."""
    data = bytearray(count)
    view, got = memoryview(data), 0
    while got < count:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
        else:
            sock.settimeout(None)
        try:
            step = sock.recv_into(view[got:])
        except ConnectionResetError as error:
            raise Closed("the peer is gone") from error
        if not step:
            raise Closed("the peer is gone")
        got += step
    return data
