"""Python as it was parsed: modules with their functions, where an expression stands, and what is assigned to names there."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Module:
    """A parsed file."""

    path: str
    tree: ast.Module

    @cached_property
    def every(self) -> Sequence[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        return {node.name: node for node in self.every}

    @cached_property
    def inside(self) -> Mapping[int, Function]:
        """The function that a node stands in, by the node's id: of several within each other the innermost."""
        return {id(node): function for function in self.every for node in ast.walk(function) if node is not function}

    @cached_property
    def constants(self) -> Mapping[str, ast.expr]:
        return dict(_assigned(self.tree.body))


@dataclass(frozen=True)
class Scope:
    """Where an expression stands: a function of a module, or the module itself. within: of an f-string; seen: names being followed."""

    module: Module
    function: Function | None
    within: bool = False
    seen: frozenset[str] = frozenset()


def name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _named(target, node.value)
        if isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield from _named(node.target, node.value)


def _named(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        yield from ((one.id, said) for one, said in pairs if isinstance(one, ast.Name))


@cache
def assigned_in(function: Function | None) -> Sequence[tuple[str, ast.expr]]:
    """Return what is assigned to names in a function."""
    return list(_assigned(ast.walk(function))) if function else []


@cache
def added_in(function: Function | None) -> Sequence[tuple[str, ast.expr]]:
    """Return what is put at the end of names in a function."""
    nodes = ast.walk(function) if function else ()
    added = [node for node in nodes if isinstance(node, ast.AugAssign)]
    return [(node.target.id, node.value) for node in added if isinstance(node.target, ast.Name)]


def texts_in(module: Module) -> Iterator[tuple[ast.expr, Scope]]:
    """Yield the sentences of a module: no document, no name of a run of a task, no part of another."""
    apart = {id(part) for node in ast.walk(module.tree) for part in _apart(node)}
    for node in ast.walk(module.tree):
        text = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and _is_sentence(node.value))
        if text and id(node) not in apart and isinstance(node, ast.expr):
            yield node, Scope(module, module.inside.get(id(node)))


def _apart(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.JoinedStr):
        yield from (part for part in ast.walk(node) if part is not node)
    if isinstance(node, Function):
        yield from (part for decorator in node.decorator_list for part in ast.walk(decorator))
    if isinstance(node, ast.Expr):
        yield node.value


def _is_sentence(value: object) -> bool:
    return isinstance(value, str) and " " in value.strip(" ;:") and not value.startswith(" ")
