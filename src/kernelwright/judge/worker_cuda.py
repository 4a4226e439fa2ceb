"""The untrusted side on a CUDA device: where tensors lie there, and the turnstiles that hold queued calls back. Torch
and the standard library only.

What this says is a claim like everything else in a worker: the judge reads results through the handles it is given, by
its own clock, and a wrong one hurts nobody but the claimant.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from typing import Any

import torch

from kernelwright.judge import wire
from kernelwright.judge.worker_host import Host

_PORTABLE_MAPPED, _AT_LEAST, _BUFFER_ID = 1 | 2, 0, 7
_LINE = 64
_THREADS = 8
_Pointer = ctypes.c_uint64


class _Handle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_ubyte * wire.HANDLE_BYTES)]


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuPointerGetAttribute": (ctypes.c_void_p, ctypes.c_int, _Pointer),
    "cuMemGetAddressRange_v2": (ctypes.c_void_p, ctypes.c_void_p, _Pointer),
    "cuIpcGetMemHandle": (ctypes.c_void_p, _Pointer),
    "cuMemHostRegister_v2": (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint),
    "cuMemHostGetDevicePointer_v2": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint),
    "cuStreamWaitValue32_v2": (ctypes.c_void_p, _Pointer, ctypes.c_uint32, ctypes.c_uint),
    "cuStreamWriteValue32_v2": (ctypes.c_void_p, _Pointer, ctypes.c_uint32, ctypes.c_uint),
}


class Cuda(Host):
    """Life cycle: made once in a worker, before anything untrusted runs there."""

    name = "cuda"

    def __init__(self) -> None:
        # What is left to the host (inputs, mostly) is little; the threads of several judges on a machine of many cores
        # would take them from each other for minutes.
        torch.set_num_threads(min(torch.get_num_threads(), _THREADS))
        torch.cuda.init()  # type: ignore[no-untyped-call]
        self._own_kernel = torch.zeros(1, device=self.name).add_
        self._own_kernel(1)  # what a first call loads would wait for the device
        # A float32 product is one in float32, whatever the library's default for convolutions.
        torch.backends.cudnn.allow_tf32 = False
        self._synchronize = torch.cuda.synchronize
        self._library = ctypes.CDLL("libcuda.so.1")
        for name, arguments in _SIGNATURES.items():
            getattr(self._library, name).argtypes = arguments
        # Ordinary memory that the device reaches, so that the judge reaches it too, while this process is stopped.
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._check(self._library.cuMemHostRegister_v2(address, mmap.PAGESIZE, _PORTABLE_MAPPED))
        there = _Pointer()
        self._check(self._library.cuMemHostGetDevicePointer_v2(ctypes.byref(there), address, 0))
        self._addresses = address, address + _LINE
        self._opened, self._passed = there.value, there.value + _LINE
        self._numbers = [ctypes.c_uint32.from_address(place) for place in self._addresses]
        self._known: set[int] = set()

    def facts(self) -> dict[str, Any]:
        """See `Host.facts`: where the two numbers of the turnstiles are."""
        opened, passed = self._addresses
        return {"opened": opened, "passed": passed}

    def told(self, reply: dict[str, Any]) -> dict[str, Any]:
        """See `Host.told`: under `memory` address, bytes and handle of each allocation that the judge may not know."""
        news = [found for pointer in set(_pointers(reply)) if (found := self._allocation(pointer)) is not None]
        return {**reply, "memory": news} if news else reply

    def _allocation(self, pointer: int) -> tuple[int, int, str] | None:
        """The allocation that an address is in; None where there is none, or it has been told of."""
        identity = _Pointer()
        if self._library.cuPointerGetAttribute(ctypes.byref(identity), _BUFFER_ID, pointer):
            return None
        if identity.value in self._known:
            return None
        base, size, handle = _Pointer(), ctypes.c_size_t(), _Handle()
        self._library.cuMemGetAddressRange_v2(ctypes.byref(base), ctypes.byref(size), pointer)
        if self._library.cuIpcGetMemHandle(ctypes.byref(handle), base):
            return None
        self._known.add(identity.value)
        return base.value, size.value, bytes(handle.reserved).hex()

    def settle(self) -> None:
        """See `Host.settle`. Raises what went wrong on the device."""
        self._synchronize()

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """See `Host.place`; a tensor that a module holds without having registered it is moved as well."""
        model = model.to(self.name)
        for module in model.modules():
            for name, value in vars(module).items():
                if type(value) is torch.Tensor and value.device.type != self.name:
                    setattr(module, name, value.to(self.name))
        return model

    def trim(self) -> None:
        """Nothing: what the allocator keeps has been told to the judge."""

    def close_turnstiles(self) -> None:
        """See `Host.close_turnstiles`.

        The device turns to another process when a kernel of that process runs, which takes longer than many calls. So
        the first turnstile has one of our own behind it, and the judge's clock starts after it.
        """
        self.settle()
        for number in self._numbers:
            number.value = 0
        self.enter(wire.FIRST_CALL - 1)
        self._own_kernel(1)
        self.leave(wire.FIRST_CALL - 1)

    def enter(self, number: int) -> None:
        """See `Host.enter`."""
        self._check(self._library.cuStreamWaitValue32_v2(None, self._opened, number, _AT_LEAST))

    def leave(self, number: int) -> None:
        """See `Host.leave`."""
        self._check(self._library.cuStreamWriteValue32_v2(None, self._passed, number, 0))

    def mark(self) -> Any:
        """See `Host.mark`: a moment on the device."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def between(self, begin: Any, end: Any) -> float:
        """See `Host.between`; both must have passed."""
        return 1e-3 * float(begin.elapsed_time(end))

    def keep_busy(self) -> None:
        """See `Host.keep_busy`."""
        torch.cuda._sleep(20_000_000)  # type: ignore[no-untyped-call]  # noqa: SLF001 - there is no public way

    @staticmethod
    def _check(result: int) -> None:
        if result:
            raise RuntimeError(f"the CUDA driver fails: error {result}")


def _pointers(said: Any) -> Iterator[int]:
    """Every address in a reply: of tensors, of slots, and of outputs that are like the first one."""
    if isinstance(said, dict):
        if isinstance(said.get("pointer"), int):
            yield said["pointer"]
        for key in ("pointers", "outputs", "state", "draws", "answers", "mutated", "tensor"):
            yield from _pointers(said.get(key))
    elif isinstance(said, list):
        for entry in said:
            yield from _pointers(entry)
    elif type(said) is int:
        yield said
