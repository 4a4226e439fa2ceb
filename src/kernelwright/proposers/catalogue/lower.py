"""From a task's graph to stores and library calls: every operation becomes an expression over axes, or stays a torch
call.

Views only rearrange axes. Operations without a rule, and shapes that cannot share axes, become `Call`s; what they read
is stored before. Which stores share a kernel is decided later (`regions.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from kernelwright.proposers.catalogue import (
    contractions,
    convolutions,
    dtypes,
    indexing,
    pointwise,
    reductions,
    scans,
    views,
    windows,
)
from kernelwright.proposers.catalogue.axes import Axes, ConflictError, Dims
from kernelwright.proposers.catalogue.build import InMemoryError, UnsupportedError, has_reduction, renamed
from kernelwright.proposers.catalogue.ir import Axis, Buffer, Call, Load, Store, Tensor, Term, resolved
from kernelwright.tasks import Graph, GraphNode

Step = Store | Call


_PRODUCTS = (*contractions.RULES, "convolution")
_UNDERSTOOD = {"alpha", "approximate", "value", "rounding_mode"}
_CONTIGUOUS = {"memory_format": "contiguous_format"}
_NO_MATTER = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking"}
"""Arguments that the graph's own record of the result already answers, or that change no value."""


class Lowering:
    """One graph being lowered. After `run`, `steps` are the stores and calls in an order that respects their needs.

    `sources` are buffers that exist before any step, by the graph's node name; `outputs` and `mutations` name what
    forward
    returns and the state it changes. See `lower` for the rest.
    """

    def __init__(self, graph: Graph, leaves: Callable[[str, Sequence[Any]], bool], *, on_device: bool) -> None:
        self.graph, self._leaves, self._on_device = graph, leaves, on_device
        self.nodes: dict[str, GraphNode] = {node.name: node for node in graph.nodes}
        self.axes = Axes()
        self.tensors: dict[str, Tensor | tuple[Tensor, ...]] = {}
        self.steps: list[Step] = []
        self.buffers: dict[str, Buffer] = {}
        self.outputs: Any = ()
        self.mutations: dict[str, Any] = {}
        self._views: set[str] = set()
        self._factors = self._shared_factors()
        parts = (node for node in graph.nodes if node.target == "getitem")
        self._taken_apart = {name for node in parts for name in references(node.args[:1])}
        """Results that are groups, though all but one of their tensors may be missing."""
        self._given: list[Buffer] = []
        """What defines sizes: inputs, state, and results of library calls."""

    def run(self) -> Lowering:
        """Lowers every node."""
        for node in self.graph.nodes:
            if node.op in ("input", "state", "constant"):
                self._enter(node)
            elif node.op == "call":
                self._lower(node)
            else:
                self.outputs = node.args
                self.mutations = dict(node.kwargs.get("mutations", {}))
        for name in references((self.outputs, self.mutations)):
            self._materialise(name)
        given = {axis for buffer in self._given for axis in buffer.axes}
        self.axes.guessed |= any(axis not in given and axis.length is None for axis in resolved(self.axes.open))
        for axis, along in self.axes.following:
            self.axes.guessed |= any(leaf in given and leaf not in resolved(along) for leaf in axis.resolve())
        return self

    @property
    def results(self) -> list[str]:
        """What forward itself returns and leaves in its state, without gradients, by the names of nodes."""
        gradients = self.graph.gradients
        own = self.outputs if gradients is None else self.outputs[: gradients.results]
        return references((own, self.mutations))

    def _enter(self, node: GraphNode) -> None:
        """Gives a node whose result is in memory its buffer."""
        (info,) = node.outputs
        if info.dtype not in dtypes.KNOWN:
            self.buffers[node.name] = Buffer(node.name, info.dtype, ())
            return
        buffer = Buffer(node.name, info.dtype, self.axes.fresh(info.shape))
        self.buffers[node.name] = buffer
        self._given.append(buffer)
        if node.op in ("state", "constant"):
            self.axes.pinned += buffer.axes
        self.tensors[node.name] = self.axes.remember(read(buffer))

    def _lower(self, node: GraphNode) -> None:
        name = operation(node.target)
        if name in ("_assert_tensor_metadata", "sym_size"):
            return
        try:
            try:
                self._by_rule(name, node)
            except InMemoryError:
                for reference in references((node.args, node.kwargs)):
                    self._into_memory(reference)
                self._by_rule(name, node)
        except (UnsupportedError, ConflictError, InMemoryError):
            self._call(node)

    def _into_memory(self, name: str) -> None:
        """Has a tensor read from memory where it was computed so far; views of it remain views."""
        if name in self._views:
            for source in references(self.nodes[name].args):
                self._into_memory(source)
            self._by_rule(operation(self.nodes[name].target), self.nodes[name])
        elif isinstance(tensor := self.tensors.get(name), Tensor) and tensor.axes:
            self._materialise(name)
            self.tensors[name] = self.axes.remember(read(self.buffers[name]))

    def _by_rule(self, name: str, node: GraphNode) -> None:
        if name in _PRODUCTS:
            self._keep_products(node)
        if name in views.PARTS or name == "cat":
            self._keep_sums(name, node)
        operands = [self._operand(arg) for arg in node.args]
        if self._leaves(name, operands):
            raise UnsupportedError
        if not node.outputs or 0 in node.outputs[0].shape:
            raise UnsupportedError
        if any(output.dtype not in dtypes.KNOWN for output in node.outputs):
            raise UnsupportedError
        made = self._made(name, node, operands)
        for tensor in made if isinstance(made, tuple) else (made,):
            self.axes.remember(tensor)
        self.tensors[node.name] = made
        if name in views.PURE and isinstance(operands[0], Tensor):
            self._views.add(node.name)

    def _made(self, name: str, node: GraphNode, operands: list[Any]) -> Tensor | tuple[Tensor, ...]:
        if name == "getitem":
            group = operands[0]
            if not isinstance(group, tuple):
                raise UnsupportedError
            if node.args[1] >= len(group):  # a rule may leave out what is seldom used
                raise UnsupportedError
            item: Tensor = group[node.args[1]]
            return item
        for rules in (
            views.RULES, indexing.RULES, reductions.RULES, windows.RULES, scans.RULES, contractions.RULES,
        ):  # fmt: skip
            if name in rules:
                made: Tensor | tuple[Tensor, ...] = rules[name](self.axes, node, *operands)
                return made
        if name == "convolution":
            return self._convolution(node, *operands[:3])
        if name in indexing.RESIZED:
            return indexing.resized(self.axes, node, *operands, on_device=self._on_device)
        if name in pointwise.RULES:
            return self._pointwise(name, node, operands)
        raise UnsupportedError

    def _operand(self, arg: Any) -> Any:
        """An argument as rules see it: tensors for references, the name for a dtype, lists element by element."""
        if isinstance(arg, (list, tuple)):
            return [self._operand(item) for item in arg]
        if not isinstance(arg, dict):
            return arg
        ((kind, item),) = arg.items()
        if kind == "node":
            if item not in self.tensors:
                raise UnsupportedError
            return self.tensors[item]
        return float(item) if kind == "float" else self._operand(item) if kind == "tuple" else item

    def _keep_products(self, node: GraphNode) -> None:
        """Has the operands of a product that would be computed again and again written to memory first."""
        for name in references(node.args):
            tensor = self.tensors.get(name)
            if not isinstance(tensor, Tensor):
                continue
            if self._factors[self._origin(name)] > 1 or contractions.worth_keeping(operation(node.target), tensor):
                self._into_memory(name)

    def _shared_factors(self) -> Counter[str]:
        """How many products each tensor is a factor of, where there is a way back: what a product was made of is
        multiplied once more with what comes in, and that twice."""
        if self.graph.gradients is None:
            return Counter()
        products = (node for node in self.nodes.values() if operation(node.target) in _PRODUCTS)
        return Counter(name for node in products for name in {self._origin(each) for each in references(node.args)})

    def _origin(self, name: str) -> str:
        """What a tensor is a view of."""
        while operation(self.nodes[name].target) in views.PURE and (sources := references(self.nodes[name].args)):
            name = sources[0]
        return name

    def _keep_sums(self, name: str, node: GraphNode) -> None:
        """Has sums of products written to memory before all of their parts are taken, as the gates of a recurrent cell
        are, since each part would be a product of its own; and before they are put beside others, as the branches of an
        inception block are, since each would be computed for every position of the whole. A device makes both halves
        of one product, as of a gate, in one kernel."""
        for given in references(node.args[:1]):
            tensor = self.tensors.get(given)
            products = contractions.products_summed(tensor) if isinstance(tensor, Tensor) else 0
            if not products:
                continue
            whole, parts = prod(self.nodes[given].outputs[0].shape), self._taken(given)
            halves = self._on_device and products == 1 and parts == [whole // 2] * 2
            halves = halves and self._is_parted(self._origin(given))
            if name == "cat" or (sum(parts) >= whole and not halves):
                self._into_memory(given)

    def _is_parted(self, name: str) -> bool:
        """Whether nothing but parts is ever taken of a tensor, by way of views or not."""
        wanted = references((self.graph.nodes[-1].args, self.graph.nodes[-1].kwargs))
        users = [node for node in self.nodes.values() if name in references((node.args, node.kwargs))]
        return name not in wanted and all(
            operation(node.target) in views.PARTS
            or (operation(node.target) in views.PURE and self._is_parted(node.name))
            for node in users
        )

    def _taken(self, name: str) -> list[int]:
        """How many elements the parts have that are taken of a tensor."""
        whole = prod(self.nodes[name].outputs[0].shape)
        users = (node for node in self.nodes.values() if operation(node.target) in views.PARTS)
        parts = (part for node in users if references(node.args[:1]) == [name] for part in node.outputs)
        return [size for part in parts if (size := prod(part.shape)) < whole]

    def _in_memory(self, name: str, tensor: Tensor, outermost: Sequence[Axis] = ()) -> Tensor:
        """A tensor that the graph does not have, written to memory and read from there; where it lies there, some axes
        may come first."""
        while name in self.nodes:
            name += "_"
        rest = (axis for axis in tensor.axes if axis not in outermost)
        dims = tuple((axis,) for axis in (*outermost, *rest)) if outermost else tensor.dims
        self.buffers[name] = Buffer(name, tensor.dtype, dims)
        self.steps.append(Store(self.buffers[name], tensor.expr))
        return self.axes.remember(replace(read(self.buffers[name]), dims=tensor.dims))

    def _convolution(self, node: GraphNode, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Over its input and weight as they are written to memory for it, where they are."""
        device = self._on_device
        input_ = convolutions.padded(self.axes, node, x, weight, on_device=device)
        turned = convolutions.by_phase(self.axes, node, x, weight, on_device=device)
        input_ = input_ and self._in_memory(f"{node.name}_input", input_)
        turned = turned and self._in_memory(f"{node.name}_weight", turned)
        whole = convolutions.convolution(self.axes, node, x, weight, bias, input_, turned, on_device=device)
        name = f"{node.name}_phases"
        if tuple(map(views.extent, whole.dims)) != tuple(node.outputs[0].shape):
            return convolutions.cropped(self.axes, node, self._in_memory(name, whole))
        depthwise = convolutions.is_depthwise(weight, node.args[8], transposed=node.args[6])
        if not (device and turned and node.args[6]) or depthwise:
            return whole
        # A device writes whole lines of each phase much faster than a few numbers of a result's lines; two phases that
        # take turns in a line, and read at other places each, it makes at once.
        phases = resolved(axis for dim in turned.dims[: len(whole.dims) - 2] for axis in dim)
        last = resolved(whole.dims[-1])[-1:]
        in_turn = last == phases[-1:] and [axis.size for axis in last] == [2]
        in_turn = in_turn and convolutions.is_moved(whole, turned, *last)
        return whole if not phases or in_turn else self._in_memory(name, whole, phases)

    def _pointwise(self, name: str, node: GraphNode, operands: Sequence[Any]) -> Tensor:
        (out,) = node.outputs
        tensors = [operand for operand in operands if isinstance(operand, Tensor)]
        kind = _computing_dtype(name, operands, out.dtype)
        _check(name, node, tensors, kind)
        extra = {key: self._operand(item) for key, item in node.kwargs.items() if key not in _NO_MATTER}
        if not extra.keys() <= _UNDERSTOOD:
            raise UnsupportedError
        tensors, dims = self._aligned(tensors)
        remaining = iter(tensors)
        exprs = [next(remaining).expr if isinstance(operand, Tensor) else operand for operand in operands]
        expr = pointwise.RULES[name](*exprs, dtype=kind, **extra)
        return Tensor(expr, dims, out.dtype)

    def _aligned(self, tensors: list[Tensor]) -> tuple[list[Tensor], Dims]:
        """The operands over common axes and the result's dimensions; operands that clash are computed over axes of
        their own."""
        dims: Dims = ()
        aligned: dict[int, Tensor] = {}
        # What sums something keeps its axes if it can: over others it could not be summed.
        for index in sorted(range(len(tensors)), key=lambda index: not has_reduction(tensors[index])):
            tensor = tensors[index]
            try:
                dims = self.axes.broadcast(dims, tensor.dims)
            except ConflictError:
                tensor = renamed(tensor)
                self.axes.keep_apart(tensor)
                dims = self.axes.broadcast(dims, tensor.dims)
            aligned[index] = tensor
        return [aligned[index] for index in range(len(tensors))], dims

    def _call(self, node: GraphNode) -> None:
        for name in references((node.args, node.kwargs)):
            self._materialise(name)
        self.steps.append(Call(node.name, node.target, node.args, node.kwargs))
        if len(node.outputs) == 1 and not _is_group(node) and node.name not in self._taken_apart:
            self._enter(node)
        else:
            self.buffers[node.name] = Buffer(node.name, "", ())

    def _materialise(self, name: str) -> None:
        """Makes a node's result exist in memory: a torch view of something that does, or a store."""
        if name in self.buffers:
            return
        node = self.nodes[name]
        tensor = self.tensors[name]
        if name in self._views or _is_one_number(tensor):
            for source in references((node.args, node.kwargs)):
                self._materialise(source)
            self.steps.append(Call(name, node.target, node.args, node.kwargs))
            self.buffers[name] = Buffer(name, node.outputs[0].dtype, ())
            return
        if isinstance(tensor, tuple):
            self._call(node)
            return
        self.buffers[name] = Buffer(name, tensor.dtype, tensor.dims)
        self.steps.append(Store(self.buffers[name], tensor.expr))


def _is_one_number(tensor: Tensor | tuple[Tensor, ...]) -> bool:
    """A single element made without a reduction, such as a counter: torch is as good at that."""
    return isinstance(tensor, Tensor) and not tensor.axes and not has_reduction(tensor)


def read(buffer: Buffer) -> Tensor:
    """The tensor that a buffer holds."""
    terms = tuple(Term(axis) for dim in buffer.dims for axis in dim)
    return Tensor(Load(dtypes.compute(buffer.dtype), buffer, terms), buffer.dims, buffer.dtype)


def references(data: Any) -> list[str]:
    """The names of the nodes that an argument structure refers to, in order."""
    if isinstance(data, dict):
        return [data["node"]] if "node" in data else [name for item in data.values() for name in references(item)]
    return [name for item in data for name in references(item)] if isinstance(data, (list, tuple)) else []


def operation(target: str) -> str:
    """`aten.add.Tensor` → `add`."""
    parts = target.replace("<built-in function getitem>", "getitem").split(".")
    return parts[1] if parts[0] == "aten" else parts[-1]


def _is_group(node: GraphNode) -> bool:
    return any(word in node.target for word in ("split", "unbind", "chunk"))


def _computing_dtype(name: str, operands: Sequence[Any], result: str) -> str:
    if name not in pointwise.COMPARISONS:
        return dtypes.compute(result)
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    kind = tensors[0].dtype
    for tensor in tensors[1:]:
        wider = tensor.dims or not tensors[0].dims or dtypes.category(tensor.dtype) > dtypes.category(kind)
        kind = dtypes.promote(kind, tensor.dtype) if wider else kind
    if any(isinstance(operand, float) for operand in operands) and not dtypes.is_float(kind):
        kind = "float32"
    return dtypes.compute(kind)


def _check(name: str, node: GraphNode, tensors: Sequence[Tensor], kind: str) -> None:
    """Raises for what the rules would compute wrongly: wrapping integers, integer division, bitwise operations on
    integers."""
    result = node.outputs[0].dtype
    integers = kind in ("int32", "int64", "bool")
    if result in dtypes.NARROW and not (
        name == "_to_copy" and all(dtypes.is_float(tensor.dtype) for tensor in tensors)
    ):
        raise UnsupportedError
    if integers and name in ("div", "pow", "remainder", "reciprocal", "sign"):
        raise UnsupportedError
    if name == "fmod" and integers and not (isinstance(node.args[1], int) and node.args[1] > 0):
        raise UnsupportedError
    if name in pointwise.BOOL_ONLY and any(tensor.dtype != "bool" for tensor in tensors):
        raise UnsupportedError
    if name == "_to_copy" and node.kwargs.get("memory_format", _CONTIGUOUS) != _CONTIGUOUS:
        raise UnsupportedError


def lower(graph: Graph, leaves: Callable[[str, Sequence[Any]], bool], *, on_device: bool) -> Lowering:
    """Lowers a whole graph. Operations that it `leaves` stay library calls; `on_device` says whether
    what is read together should be what a device reads together."""
    return Lowering(graph, leaves, on_device=on_device).run()
