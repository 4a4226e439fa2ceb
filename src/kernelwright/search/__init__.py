"""The search: one loop over a graph of candidates."""

from kernelwright.search.engine import search
from kernelwright.search.graph import Node, SearchGraph
from kernelwright.search.result import INTERRUPTED, SearchResult
from kernelwright.search.settings import Settings

__all__ = ["INTERRUPTED", "Node", "SearchGraph", "SearchResult", "Settings", "search"]
