"""What the judge and its workers may say to each other: JSON objects behind a length, over a Unix socket; descriptors
beside them.

Standard library only: both sides import it. A worker's message is a claim by code that nobody trusts, so reading is
bounded in
size, depth and time, and whatever does not parse is a `WireError`, never a crash of the reader.
"""

from __future__ import annotations

import array
import json
import socket
import struct
import time
from typing import Any

HEADER = struct.Struct("!I")
LIMIT = 64 << 20
"""Bytes a message may have: an exported graph of a large model is a few MiB."""


class WireError(Exception):
    """The peer broke the protocol: a message too long, cut off, or not a JSON object."""


class Closed(WireError):
    """The peer's end is closed: its process is gone."""


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Sends one message, blocking until the peer has taken it.

    Raises:
        Closed: the peer is gone.
        WireError: the message is longer than `LIMIT`.
    """
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > LIMIT:
        raise WireError(f"a message of {len(body)} bytes is over the limit of {LIMIT}")
    data = HEADER.pack(len(body)) + body
    try:
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            data = data[sock.sendmsg([data], rights) :]
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed("the peer is gone") from error


def receive(sock: socket.socket, timeout: float | None = None) -> dict[str, Any]:
    """Receives one message.

    Args:
        sock: the socket.
        timeout: seconds for the whole message; None waits for ever.

    Raises:
        TimeoutError: it did not arrive in time.
        Closed: the peer is gone.
        WireError: what arrived is no message.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    (length,) = HEADER.unpack(_exactly(sock, HEADER.size, deadline))
    if length > LIMIT:
        raise WireError(f"a message of {length} bytes is over the limit of {LIMIT}")
    return parse(_exactly(sock, length, deadline))


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """One message's bytes as an object. Raises `WireError` when they are none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise WireError(f"not a JSON object but {type(message).__name__}")
    return message


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
