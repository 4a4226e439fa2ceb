"""Reads what a CUDA device is, from the driver and from NVML, without changing any of its settings."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelwright.errors import MachineError

_ATTRIBUTES = {"multiprocessors": 16, "shared_bytes": 97, "l2_bytes": 38, "clock_khz": 13, "memory_clock_khz": 36,
               "bus_bits": 37, "major": 75, "minor": 76, "registers": 82, "warp": 10}  # fmt: skip
"""CUdevice_attribute by what we call it."""


@dataclass(frozen=True)
class CudaFacts:
    """`multiprocessors` and `arch` (`sm_90`) decide what a kernel is compiled for; `shared_bytes` is the most shared
    memory of one block, `registers` those of one multiprocessor. Clocks are the highest, in kHz."""

    model: str
    arch: str
    multiprocessors: int
    shared_bytes: int
    registers: int
    l2_bytes: int
    memory_bytes: int
    clock_khz: int
    memory_clock_khz: int
    bus_bits: int
    driver: int


def read_facts() -> CudaFacts:
    """The first device that this process may see.

    Raises:
        MachineError: there is no driver or no device.
    """
    library, device = _first_device()
    name, memory, number = ctypes.create_string_buffer(256), ctypes.c_size_t(), ctypes.c_int()
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    library.cuDriverGetVersion(ctypes.byref(number))
    facts = {what: _attribute(library, attribute, device) for what, attribute in _ATTRIBUTES.items()}
    return CudaFacts(
        model=name.value.decode(),
        arch=f"sm_{facts['major']}{facts['minor']}",
        multiprocessors=facts["multiprocessors"],
        shared_bytes=facts["shared_bytes"],
        registers=facts["registers"],
        l2_bytes=facts["l2_bytes"],
        memory_bytes=memory.value,
        clock_khz=facts["clock_khz"],
        memory_clock_khz=facts["memory_clock_khz"],
        bus_bits=facts["bus_bits"],
        driver=number.value,
    )


def read_uuid() -> str:
    """What tells the first device that this process may see from all others, as hexadecimal digits; zeros where the
    driver does not say. Raises as `read_facts` does."""
    library, device = _first_device()
    uuid = ctypes.create_string_buffer(16)
    with suppress(AttributeError):  # drivers before CUDA 11.4
        library.cuDeviceGetUuid_v2(uuid, device)
    return uuid.raw.hex()


def _first_device() -> tuple[Any, ctypes.c_int]:
    """The driver, and the device in it."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        remedy = "install NVIDIA's driver, or use --target cpu"
        raise MachineError(f"there is no CUDA driver: {error}", remedy=remedy) from error
    count, device = ctypes.c_int(), ctypes.c_int()
    failed = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if failed or not count.value or library.cuDeviceGet(ctypes.byref(device), 0):
        raise MachineError(f"there is no CUDA device (error {failed})", remedy="run `nvidia-smi`, or use --target cpu")
    return library, device


def device_files() -> tuple[str, ...]:
    """The files through which the driver is reached, those of all devices."""
    found = [*Path("/dev").glob("nvidia*"), *Path("/dev").glob("nvidia-caps/*")]
    return tuple(sorted({str(path) for path in found if path.is_char_device()}))


def _attribute(library: Any, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value
