"""Makes torch.compile's C++ backend quick and confined in a sandboxed process. Torch and the standard library only.

Left alone, a fresh process spends 20 s before its first kernel: it compiles and runs a probe for each vector extension
(4 s), and precompiles a header into a folder under the user's /tmp (13 s). Here the CPU's own flags answer
the probe, and the precompiled header is the one that `headers.py` made, or none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kernelwright.languages.on_import import on_import

HEADER_FOLDER = "inductor"


def configure(cache_dir: str, headers: str, device: str = "cpu") -> None:
    """Call in a worker before anything is compiled; inductor may be imported already or not.

    Args:
        cache_dir: folder for generated code and libraries; written to, unless everything asked for is in it.
        headers: folder that `Language.prepare` filled, or empty; only read.
        device: what is compiled for; for others than the CPU in this process alone, since the sandbox that it has
            opened the device in is closed for processes that it starts.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache_dir
    header = find_header(headers)

    def set_options(config: Any) -> None:
        config.compile_threads = len(os.sched_getaffinity(0)) if device == "cpu" else 1
        config.cpp.vec_isa_ok = True
        config.cpp_cache_precompile_headers = bool(header)

    def use_header(codecache: Any) -> None:
        codecache._precompile_header = lambda *_args, **_kwargs: header  # noqa: SLF001 - there is no public way

    # Where Triton is installed, the import itself would start a pool of processes that only Triton uses.
    os.environ["TORCH_WARM_POOL"] = "0"
    on_import("torch._inductor.config", set_options)
    on_import("torch._inductor.codecache", use_header)


def find_header(headers: str) -> str:
    """Path of inductor's header whose precompiled form lies beside it, or empty.

    gcc reads the header's text where its precompiled form does not fit.
    """
    if not headers:
        return ""
    return next((str(path.with_suffix("")) for path in Path(headers, HEADER_FOLDER).glob("*.h.gch")), "")
