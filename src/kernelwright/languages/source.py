"""What can be said about a candidate without running it, for every language whose candidates are Python modules."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence

from kernelwright import syntax
from kernelwright.languages.base import SourceReport

FindKernels = Callable[[ast.Module], Iterable[ast.FunctionDef]]

_NO_WORK_NAMES = """
    arange as_tensor empty empty_like empty_strided empty_strided_cpu from_dlpack from_numpy full full_like
    new_empty new_full new_ones new_zeros ones ones_like tensor zeros zeros_like

    as_strided chunk detach expand expand_as flatten movedim narrow permute reinterpret_tensor reshape select split
    squeeze swapaxes t tensor_split transpose unbind unflatten unsqueeze view view_as

    bfloat16 bool contiguous cpu double float half int long pin_memory to type type_as

    assert_size_stride data_ptr device dim dtype element_size finfo get_num_threads has_names iinfo is_complex
    is_contiguous is_floating_point is_grad_enabled is_inference is_tensor item layout memory_format ndimension
    numel requires_grad_ shape size storage_offset stride typename untyped_storage

    autograd compile enable_grad inference_mode manual_seed no_grad set_num_threads

    Module ModuleDict ModuleList Parameter ParameterDict ParameterList Sequential Size Tensor cpp_pybinding
    load_inline register_buffer register_parameter wait
"""
_NO_WORK = frozenset(_NO_WORK_NAMES.split())
"""Names under torch, nn and Tensor that allocate, view, convert, describe, set a mode or declare; none computes."""
_PLAIN_RESULTS_NAMES = """
    data_ptr dim element_size is_complex is_contiguous is_floating_point item ndimension numel size storage_offset
    stride
"""
_PLAIN_RESULTS = frozenset(_PLAIN_RESULTS_NAMES.split())
"""Tensor methods that return numbers."""
_TENSOR_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "data", "grad", "real", "imag"})
_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@",
}  # fmt: skip


def read_source(source: str, declared: FindKernels | None = None) -> SourceReport:
    """The report on a candidate's text: whether it can be one, its kernels and library calls in order of appearance.

    Args:
        source: the text.
        declared: finds the functions that are kernels themselves, where a language has such: what these call is no
            library's, and they are built when they are first called. By default kernels are what `load_inline` builds.
    """
    try:
        tree = syntax.parse(source)
        own = list(declared(tree)) if declared is not None else []
        kernels = tuple(dict.fromkeys(_kernels(tree) if declared is None else (node.name for node in own)))
        calls = tuple(dict.fromkeys(_library_calls(tree, own)))
    except SyntaxError as error:
        line = error.lineno or 1
        return SourceReport(problem=f"line {line}: syntax error: {error.msg}", line=line)
    except (ValueError, RecursionError, MemoryError) as error:
        # A null byte is a ValueError in older Pythons; the others mean nesting beyond what anyone writes.
        reason = str(error) if isinstance(error, ValueError) else "expressions are nested too deeply"
        return SourceReport(problem=f"line 1: {reason}", line=1)
    problem, line = _problem(tree)
    return SourceReport(problem, line, kernels, calls, builds_late=declared is not None or _builds_late(tree))


def inline_builds(tree: ast.Module) -> Iterator[ast.Call]:
    """Every call of a function named `load_inline`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).rsplit(".", 1)[-1] == "load_inline":
            yield node


def _builds_late(tree: ast.Module) -> bool:
    """Whether a function builds; one that is only called while the module loads counts too, which does no harm."""
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda)))
    calls = (node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(dotted(call.func).rsplit(".", 1)[-1] in ("load_inline", "load") for call in calls)


def _problem(tree: ast.Module) -> tuple[str, int]:
    for node in tree.body:
        names = [getattr(node, "name", "")]
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if "ModelNew" in names:
            if isinstance(node, ast.ClassDef):
                return _class_problem(node)
            if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Name, ast.Attribute, ast.Call)):
                return "", 0  # another name for a class, as far as can be said without running it
            return f"line {node.lineno}: ModelNew must be a class derived from torch.nn.Module", node.lineno
    return "line 1: the module defines no class ModelNew at its top level", 1


def _class_problem(node: ast.ClassDef) -> tuple[str, int]:
    if not node.bases:
        return f"line {node.lineno}: ModelNew must derive from torch.nn.Module", node.lineno
    only_module = all(dotted(base) in ("nn.Module", "torch.nn.Module", "Module") for base in node.bases)
    if only_module and not any(_defines_forward(item) for item in node.body):
        return f"line {node.lineno}: ModelNew has no forward", node.lineno
    return "", 0


def _defines_forward(item: ast.stmt) -> bool:
    if isinstance(item, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "forward" for target in item.targets)
    return isinstance(item, ast.FunctionDef) and item.name == "forward"


def _kernels(tree: ast.Module) -> Iterator[str]:
    literals = {
        target.id: node.value
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    for call in inline_builds(tree):
        for keyword in call.keywords:
            if keyword.arg == "functions":
                value = keyword.value
                value = literals.get(value.id, value) if isinstance(value, ast.Name) else value
                entries = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [value])
                yield from (
                    entry.value for entry in entries if isinstance(entry, ast.Constant) and isinstance(entry.value, str)
                )
    for name, value in literals.items():
        if isinstance(value, ast.Call) and dotted(value.func).endswith(".cpp_pybinding"):
            yield name


def _library_calls(tree: ast.Module, own: Sequence[ast.FunctionDef]) -> Iterator[str]:
    aliases = _torch_aliases(tree)
    layers = _layers(tree, aliases)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__" and node not in own:
            yield from _Function(node, aliases, layers).calls()


def _torch_aliases(tree: ast.Module) -> dict[str, str]:
    """Names that stand for something of torch's, by what they stand for: `F` for `torch.nn.functional`."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "torch":
                    aliases[alias.asname or "torch"] = alias.name if alias.asname else "torch"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            root, _, rest = dotted(node.value).partition(".")
            if root in aliases and rest:
                aliases[node.targets[0].id] = f"{aliases[root]}.{rest}"
    return aliases


def _layers(tree: ast.Module, aliases: dict[str, str]) -> dict[str, str]:
    """Attributes of self that hold one of torch's modules: `self.linear` by `torch.nn.Linear`."""
    layers: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name = _resolve(dotted(node.value.func), aliases)
            if name.startswith("torch.nn.") and name.rsplit(".", 1)[-1] not in _NO_WORK:
                layers |= {dotted(target): name for target in node.targets if dotted(target).startswith("self.")}
    return layers


class _Function:
    """Follows which names of one function hold tensors, in the order of the text."""

    def __init__(self, node: ast.FunctionDef, aliases: dict[str, str], layers: dict[str, str]) -> None:
        self.node, self.aliases, self.layers = node, aliases, layers
        arguments = [*node.args.posonlyargs, *node.args.args]
        if any(dotted(each) == "staticmethod" for each in node.decorator_list):
            arguments = arguments[1:]  # the context of an autograd function
        plain = {"int", "float", "bool", "str"}
        self.tensors = {
            argument.arg for argument in arguments
            if argument.arg != "self" and not (argument.annotation and ast.unparse(argument.annotation) in plain)
        } if node.name in ("forward", "backward") else set()  # fmt: skip

    def calls(self) -> Iterator[str]:
        """The library calls in the order of the text; those of nested functions are theirs."""
        for node in _in_order(self.node):
            if isinstance(node, ast.Call):
                yield from self._called(node)
            elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATORS:
                sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
                if isinstance(node.op, ast.MatMult) or any(self._is_tensor(side) for side in sides):
                    yield _OPERATORS[type(node.op)]
            if isinstance(node, ast.Assign) and self._is_tensor(node.value):
                self.tensors |= {target.id for target in node.targets if isinstance(target, ast.Name)}

    def _called(self, node: ast.Call) -> Iterator[str]:
        name = dotted(node.func)
        if name in self.layers:
            yield self.layers[name]
        elif name:
            resolved = _resolve(name, self.aliases)
            parts = resolved.split(".")
            if parts[0] == "torch" and not any(part.lstrip("_") in _NO_WORK for part in parts):
                yield resolved.removeprefix("torch._inductor.select_algorithm.")
        if isinstance(node.func, ast.Attribute) and node.func.attr not in _NO_WORK and self._is_tensor(node.func.value):
            yield f"Tensor.{node.func.attr}"

    def _is_tensor(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.tensors
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and self._is_tensor(node.func.value):
                return node.func.attr not in _PLAIN_RESULTS
            return _resolve(dotted(node.func), self.aliases).startswith("torch.") or dotted(node.func) in self.layers
        if isinstance(node, ast.BinOp):
            return self._is_tensor(node.left) or self._is_tensor(node.right)
        if isinstance(node, ast.UnaryOp):
            return self._is_tensor(node.operand)
        if isinstance(node, ast.Subscript):
            return self._is_tensor(node.value)
        if isinstance(node, ast.Attribute):
            return node.attr in _TENSOR_ATTRIBUTES and self._is_tensor(node.value)
        return False


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, innermost first, without the bodies of nested functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            yield from _in_order(child)
            yield child


def dotted(node: ast.AST | None) -> str:
    """`a.b.c` for a chain of attributes on a name, else empty."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _resolve(name: str, aliases: dict[str, str]) -> str:
    root, dot, rest = name.partition(".")
    return aliases.get(root, root) + dot + rest
