"""Imported once, by the process that workers are forked from: Triton ready to compile.

What names a compiled kernel includes a hash of Triton's own library, half a gigabyte. Taken here, it is known to every
worker; each would need 0.4 s to take it.
"""

from contextlib import suppress

with suppress(ImportError, AttributeError):  # another Triton has it elsewhere, and only takes longer
    from triton import knobs
    from triton.runtime.cache import triton_key

    if not knobs.runtime.interpret:
        triton_key()
