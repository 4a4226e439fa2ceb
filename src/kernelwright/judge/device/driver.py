"""CUDA's driver, as far as the judge needs it: memory of its own, and memory of other processes by their handles.

Through ctypes: the trusted side runs no kernel, so it needs neither torch nor a compiler.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from kernelwright.errors import MachineError
from kernelwright.judge.wire import HANDLE_BYTES

_LAZY_PEER_ACCESS = 1
_INVALID = {1, 201, 400, 700, 717}
"""Results that say that an address or a handle is none (invalid value, context, handle; illegal address)."""
_Pointer = ctypes.c_uint64


class Refused(Exception):
    """The driver does not take an address or a handle."""


class _Handle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_ubyte * HANDLE_BYTES)]


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuDeviceGet": (ctypes.c_void_p, ctypes.c_int),
    "cuDevicePrimaryCtxRetain": (ctypes.c_void_p, ctypes.c_int),
    "cuCtxSetCurrent": (ctypes.c_void_p,),
    "cuCtxSynchronize": (),
    "cuMemAlloc_v2": (ctypes.c_void_p, ctypes.c_size_t),
    "cuMemFree_v2": (_Pointer,),
    "cuMemHostAlloc": (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint),
    "cuMemFreeHost": (ctypes.c_void_p,),
    "cuMemcpyDtoH_v2": (ctypes.c_void_p, _Pointer, ctypes.c_size_t),
    "cuMemcpyHtoD_v2": (_Pointer, ctypes.c_void_p, ctypes.c_size_t),
    "cuMemcpyDtoDAsync_v2": (_Pointer, _Pointer, ctypes.c_size_t, ctypes.c_void_p),
    "cuMemsetD8_v2": (_Pointer, ctypes.c_ubyte, ctypes.c_size_t),
    "cuIpcOpenMemHandle_v2": (ctypes.c_void_p, _Handle, ctypes.c_uint),
    "cuIpcCloseMemHandle": (_Pointer,),
}


class Driver:
    """One device's context in this process. Life cycle: `driver()` makes the only one; every thread may use it.

    Every method raises `Refused` where an address or handle is none, and `MachineError` for whatever else fails.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise MachineError(
                f"there is no CUDA driver: {error}", remedy="install NVIDIA's driver, or use --target cpu"
            ) from error
        for name, arguments in _SIGNATURES.items():
            getattr(self._library, name).argtypes = arguments
        self._context = ctypes.c_void_p()
        device = ctypes.c_int()
        self._checked("cuInit", self._library.cuInit(0))
        self._checked("cuDeviceGet", self._library.cuDeviceGet(ctypes.byref(device), 0))
        retained = self._library.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), device)
        self._checked("cuDevicePrimaryCtxRetain", retained)

    def allocate(self, size: int) -> int:
        """Memory on the device."""
        pointer = _Pointer()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), size)
        return pointer.value

    def free(self, pointer: int) -> None:
        """Gives `allocate`'s memory back."""
        self._call("cuMemFree_v2", pointer)

    def allocate_host(self, size: int) -> int:
        """Memory on the host that the device copies to at full speed."""
        pointer = ctypes.c_void_p()
        self._call("cuMemHostAlloc", ctypes.byref(pointer), size, 0)
        return pointer.value or 0

    def free_host(self, pointer: int) -> None:
        """Gives `allocate_host`'s memory back."""
        self._call("cuMemFreeHost", pointer)

    def to_host(self, address: int, pointer: int, size: int) -> None:
        """Copies from the device to an address here, and waits for it."""
        self._call("cuMemcpyDtoH_v2", address, pointer, size)

    def to_device(self, pointer: int, address: int, size: int) -> None:
        """Copies from an address here to the device, and waits for it: of ordinary memory the call returns before the
        device has it, and on a busy device a kernel of another process might run in between."""
        self._call("cuMemcpyHtoD_v2", pointer, address, size)
        self._call("cuCtxSynchronize")

    def copy(self, pairs: list[tuple[int, int, int]]) -> None:
        """Copies (to, from, bytes) on the device, and waits for all of them."""
        for to, source, size in pairs:
            self._call("cuMemcpyDtoDAsync_v2", to, source, size, None)
        self._call("cuCtxSynchronize")

    def fill(self, pointer: int, byte: int, size: int) -> None:
        """Sets bytes on the device, and waits for it."""
        self._call("cuMemsetD8_v2", pointer, byte, size)
        self._call("cuCtxSynchronize")

    def open(self, handle: bytes) -> int:
        """Where another process's memory is seen in this one. Whatever fails is the handle's fault: it may be
        anything."""
        pointer, given = _Pointer(), _Handle()
        ctypes.memmove(ctypes.byref(given), handle, HANDLE_BYTES)
        try:
            self._call("cuIpcOpenMemHandle_v2", ctypes.byref(pointer), given, _LAZY_PEER_ACCESS)
        except MachineError as error:
            raise Refused(str(error)) from error
        return pointer.value

    def close(self, pointer: int) -> None:
        """Lets go of what `open` gave."""
        self._call("cuIpcCloseMemHandle", pointer)

    def _call(self, name: str, *arguments: Any) -> None:
        self._library.cuCtxSetCurrent(self._context)  # whichever thread this is
        self._checked(name, getattr(self._library, name)(*arguments))

    def _checked(self, name: str, result: int) -> None:
        if result == 0:
            return
        text = ctypes.c_char_p()
        self._library.cuGetErrorName(result, ctypes.byref(text))
        words = f"{name}: {(text.value or b'').decode() or result}"
        if result in _INVALID:
            raise Refused(words)
        raise MachineError(f"the CUDA driver fails: {words}", remedy="run `nvidia-smi`")


@functools.cache
def driver() -> Driver:
    """The driver's context for the first device that this process may see. Raises `MachineError`."""
    return Driver()
