"""What is known about writing kernels: documents for each language and target, wins and lessons of past runs; found and
handed to proposers."""

from __future__ import annotations

from kernelwright.knowledge.document import Document, Kind, Source
from kernelwright.knowledge.learning import lesson, win
from kernelwright.knowledge.library import Library, open_library
from kernelwright.knowledge.passages import Passage

__all__ = ["Document", "Kind", "Library", "Passage", "Source", "lesson", "open_library", "win"]
