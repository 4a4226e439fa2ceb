"""Judging on a CUDA device: the worker's tensors are reached through CUDA's handles for other processes, and a timed
batch is queued on the device before its inputs are revealed.

`driver.py` is CUDA's driver as far as the judge needs it, `space.py` a worker's memory on the device, `lane.py` the
judge's half of the queue; the worker's half is `judge/worker_cuda.py`.
"""
