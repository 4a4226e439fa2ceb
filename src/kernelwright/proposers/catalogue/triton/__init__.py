"""The catalogue's kernels in Triton."""
