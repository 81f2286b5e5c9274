"""What the source can say, found without running it: the text of an argument, as templates with `{}` where values go."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path

from tests.console.look.parsed import Module, Scope, added_in, assigned_in, name_of, texts_in

ROOT = Path(__file__).parents[3]
FOLDERS = ("flows", "tasks", "catalog", "storage", "console")
CHASED = ("catalog/errors/telling.py", "catalog/rules/storages/registering.py")
"""Modules whose functions are followed from wherever they are called: what they return is part of a sentence."""
VALUE = "{}"
"""A value, or a text that is not written where it is used."""


@dataclass(frozen=True, eq=False)
class Source:
    """The source below some folders. chased: modules whose functions are followed from anywhere."""

    modules: Sequence[Module]
    chased: Sequence[str] = ()

    @classmethod
    def below(cls, root: Path, folders: Sequence[str], chased: Sequence[str] = ()) -> "Source":
        files = sorted(file for folder in folders for file in (root / folder).rglob("*.py"))
        return cls([Module(str(f.relative_to(root)), ast.parse(f.read_text())) for f in files], chased)

    @cached_property
    def calls(self) -> Mapping[str, Sequence[tuple[ast.Call, Scope]]]:
        """Every call by the name of what is called, with the function that it stands in."""
        found: dict[str, list[tuple[ast.Call, Scope]]] = {}
        for module in self.modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    found.setdefault(name_of(node.func), []).append((node, Scope(module, module.inside.get(id(node)))))
        return found

    def given(self, fields: Mapping[str, Sequence[str]]) -> Iterator[tuple[ast.expr, Scope]]:
        """Yield what is given for fields of records, by the record's name: as arguments, and where they are read from a dict."""
        for name, wanted in fields.items():
            for call, scope in self.calls.get(name, ()):
                yield from ((k.value, scope) for k in call.keywords if k.arg in wanted)
        asked = {field for wanted in fields.values() for field in wanted}
        for call, scope in (*self.calls.get("model_validate", ()), *self.calls.get("model_copy", ())):
            known = name_of(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            for node in ast.walk(call) if known in fields or not known.istitle() else ():
                if isinstance(node, ast.Dict):
                    pairs = zip(node.keys, node.values, strict=True)
                    yield from ((v, scope) for k, v in pairs if getattr(k, "value", None) in asked)

    def sentences(self, path: str) -> set[str]:
        """Return every text with a blank in it of a module: what is no document and no argument of another text."""
        module = next(one for one in self.modules if one.path == path)
        return set().union(*(self.texts(node, scope) for node, scope in texts_in(module)))

    def returned(self, path: str, name: str) -> set[str]:
        """Return what a function of a module may return."""
        module = next(one for one in self.modules if one.path == path)
        return self.texts(ast.Call(ast.Name(name), [], []), Scope(module, None))

    def texts(self, node: ast.expr | None, scope: Scope) -> set[str]:
        """Return the templates of an expression; VALUE for what can't be followed."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.JoinedStr(values=values):
                return self._joined([self._part(value, scope) for value in values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                both = [self.texts(left, scope), self.texts(right, scope)]
                return {VALUE} if both == [{VALUE}, {VALUE}] else self._joined(both)
            case ast.IfExp(body=body, orelse=other):
                return self.texts(body, scope) | self.texts(other, scope)
            case ast.BoolOp(values=values):
                return set().union(*(self.texts(value, scope) for value in values))
            case ast.NamedExpr(value=value):
                return self.texts(value, scope)
            case ast.Subscript(value=value):
                return self._chosen(value, scope)
            case ast.Name(id=name):
                return self._named(name, scope)
            case ast.Attribute(attr=name) if name.isupper():
                return self._named(name, replace(scope, function=None))
            case ast.Call():
                return self._called(node, scope)
        return {VALUE}

    def _part(self, node: ast.expr, scope: Scope) -> set[str]:
        """Return what a part of an f-string says; parameters of functions are values there."""
        if isinstance(node, ast.FormattedValue):
            return self.texts(node.value, replace(scope, within=True))
        return self.texts(node, scope)

    @staticmethod
    def _joined(parts: Sequence[set[str]]) -> set[str]:
        return {"".join(chosen) for chosen in product(*parts)}

    def _chosen(self, node: ast.expr, scope: Scope) -> set[str]:
        if isinstance(node, ast.Name):
            node = self._constant(node.id, scope) or dict(assigned_in(scope.function)).get(node.id) or node
        if isinstance(node, ast.Dict):
            return set().union(*(self.texts(value, scope) for value in node.values))
        return {VALUE}

    def _constant(self, name: str, scope: Scope) -> ast.expr | None:
        """Return what a name of the module is; of one in capitals, where it may be imported from: others have such a name as well."""
        if name in scope.module.constants or not name.isupper():
            return scope.module.constants.get(name)
        found = [module.constants[name] for module in self.modules if name in module.constants]
        texts = [one for one in found if isinstance(one, ast.Constant | ast.JoinedStr | ast.Dict)]
        return next(iter((*texts, *found)), None)

    def _named(self, name: str, scope: Scope) -> set[str]:
        if name in scope.seen:
            return {VALUE}
        deeper = replace(scope, seen=scope.seen | {name})
        here = [value for found, value in assigned_in(scope.function) if found == name]
        found: set[str] = set().union(*(self.texts(value, deeper) for value in here))
        for more in (value for named, value in added_in(scope.function) if named == name):
            found |= self._joined([found, self.texts(more, deeper)])
        constant = None if found else self._constant(name, scope)
        return found or (
            self.texts(constant, replace(deeper, function=None)) if constant else self._given(name, deeper)
        )

    def _given(self, name: str, scope: Scope) -> set[str]:
        """Return what callers give for a parameter, be it of a function around; a value where it stands in an f-string."""
        names = [a.arg for a in (*scope.function.args.posonlyargs, *scope.function.args.args)] if scope.function else []
        only = [a.arg for a in scope.function.args.kwonlyargs] if scope.function else []
        around = scope.module.inside.get(id(scope.function))
        if around is not None and name not in (*names, *only):
            return self._given(name, replace(scope, function=around))
        asked = f"{name} of {scope.function.name}" if scope.function else ""
        if scope.within or scope.function is None or name not in (*names, *only) or asked in scope.seen:
            return {VALUE}
        found: set[str] = set()
        for call, place in self._callers(scope):
            given = [k.value for k in call.keywords if k.arg == name]
            given += [call.args[names.index(name)]] if name in names and names.index(name) < len(call.args) else []
            there = replace(place, seen=frozenset(one for one in scope.seen if " of " in one) | {asked})
            found |= set().union(*(self.texts(value, there) for value in given))
        return found or {VALUE}

    def _callers(self, scope: Scope) -> Iterator[tuple[ast.Call, Scope]]:
        name = scope.function.name if scope.function else ""
        for call, place in self.calls.get(name, ()):
            if place.module is scope.module or not name.startswith("_"):
                yield call, place

    def _called(self, call: ast.Call, scope: Scope) -> set[str]:
        if (
            name_of(call.func) == "join"
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Constant)
        ):
            return self._elements(call.args[0], scope) if not scope.within else {VALUE}
        name = name_of(call.func)
        places = [scope.module, *(m for m in self.modules if m.path in self.chased)]
        module = next((m for m in places if name in m.functions), None)
        if module is None or f"{name}()" in scope.seen:
            return {VALUE}
        function = module.functions[name]
        inside = Scope(module, function, within=True, seen=scope.seen | {f"{name}()"})
        returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
        return set().union(*(self.texts(value, inside) for value in returned)) or {VALUE}

    def _elements(self, node: ast.expr, scope: Scope) -> set[str]:
        """Return what the parts of a joined text say: each stands for itself."""
        match node:
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                return set().union(*(self._element(one, scope) for one in elts))
            case ast.GeneratorExp(elt=elt) | ast.ListComp(elt=elt):
                return self.texts(elt, scope)
            case ast.Name(id=name):
                here = [value for found, value in assigned_in(scope.function) if found == name]
                return set().union(*(self._elements(value, scope) for value in here)) or {VALUE}
        return {VALUE}

    def _element(self, node: ast.expr, scope: Scope) -> set[str]:
        return self._elements(node.value, scope) if isinstance(node, ast.Starred) else self.texts(node, scope)


@cache
def whole_source() -> Source:
    """Return the source of the product, parsed once for all tests of a process."""
    return Source.below(ROOT, FOLDERS, CHASED)
