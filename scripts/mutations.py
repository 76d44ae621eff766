"""Every small change of a file's code: its mutants, which scripts/mutants tries one after the other."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge import records

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
# A negation of these is what changing the comparison gives.
OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
LEFT_OUT = ("abs", "clipped")
NAMES = (
    ("linear", "angular"),
    ("angular", "linear"),
    ("real", "imag"),
    ("imag", "real"),
    ("low", "high"),
    ("high", "low"),
)
REMOVED = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Raise, ast.Return, ast.Break, ast.Continue)


@dataclass(frozen=True)
class Mutant:
    """`node` of a file's tree, to be replaced. Its name stays the same when lines move."""

    name: str
    file: str
    tree: ast.Module
    node: ast.AST
    after: ast.AST

    def code(self) -> ast.Module:
        """Return the changed tree. It can be called once in a process, since the tree itself is changed."""
        return ast.fix_missing_locations(Replace(self.node, self.after).visit(self.tree))


class Replace(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, before: ast.AST, after: ast.AST) -> None:
        self.before, self.after = before, after

    def visit(self, node: ast.AST) -> ast.AST:
        return self.after if node is self.before else self.generic_visit(node)


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield all mutants of one file, in the order of its text."""
    file, tree = path.stem, ast.parse(path.read_text(encoding="utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names: Counter[str] = Counter()
    for node, parent, scope in nodes(tree, None, file):
        for after in [*expressions(node, parent, attributes), *statements(node, parent)]:
            name = f"{scope}: {text(node)} → {text(after)}"
            names[name] += 1
            yield Mutant(f"{name} ({names[name]})" if names[name] > 1 else name, file, tree, node, after)


def text(node: ast.AST) -> str:
    return "left out" if isinstance(node, ast.Pass) else " ".join(ast.unparse(node).split())


def nodes(node: ast.AST, parent: ast.AST | None, scope: str) -> Iterator[tuple[ast.AST, ast.AST | None, str]]:
    """Yield each node that may change, what it stands in, and the name of its function."""
    yield node, parent, scope
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}"
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "ctx"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(
                child, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert
            ):
                yield from nodes(child, node, scope)


def expressions(node: ast.AST, parent: ast.AST | None, attributes: set[str]) -> Iterator[ast.AST]:
    """Yield what stands in the place of an expression."""
    if isinstance(node, ast.expr) and (
        getattr(parent, "test", None) is node or node in getattr(parent, "ifs", ())
    ):
        opposite = isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], OPPOSITES)
        if not opposite and not isinstance(node, ast.UnaryOp):
            yield ast.UnaryOp(ast.Not(), node)
    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                changed = [*node.ops[:i], COMPARISONS[type(operator)](), *node.ops[i + 1 :]]
                yield ast.Compare(node.left, changed, node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
            for i in range(len(node.values)):
                rest = [*node.values[:i], *node.values[i + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        case ast.UnaryOp():
            yield node.operand
        case ast.Constant():
            for value in numbers(node.value):
                yield ast.Constant(value)
        case ast.Call():
            yield from calls(node)
        case ast.Attribute(ctx=ast.Load()):
            yield from attribute(node, attributes)


def numbers(value: object) -> list[object]:
    match value:
        case bool():
            return [not value]
        case int() if abs(value) < 1000:
            return [value + 1, value - 1]
        case int():
            return [value + value // 10, value - value // 10]
        case float() if 0 < abs(value) < 1e-5:
            return [0.0, value * 1e6]
        case float():
            return [value * 1.1, value * 0.9] if value else [1.0, -1.0]
        case complex():
            return [value + 1]
        case _:
            return []


def calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in FUNCTIONS:
        other = FUNCTIONS[name]
        changed = (
            ast.Attribute(node.func.value, other, ast.Load())
            if isinstance(node.func, ast.Attribute)
            else ast.Name(other, ast.Load())
        )
        yield ast.Call(changed, node.args, node.keywords)
    if name in ("min", "max") and len(node.args) > 1:
        yield from node.args
    if name in LEFT_OUT:
        yield node.args[0]


def attribute(node: ast.Attribute, attributes: set[str]) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Name) and node.value.id in ("MotorState", "StopCause"):
        members = [member.name for member in getattr(records, node.value.id)]
        yield ast.Attribute(node.value, members[(members.index(node.attr) + 1) % len(members)], node.ctx)
        return
    for old, new in NAMES:
        name = node.attr.replace(old, new)
        if old == "linear":
            name = name.replace("_m_s", "_rad_s")
        elif old == "angular":
            name = name.replace("_rad_s", "_m_s")
        if old in node.attr and name in attributes:
            yield ast.Attribute(node.value, name, node.ctx)


def statements(node: ast.AST, parent: ast.AST | None) -> Iterator[ast.AST]:
    """Yield what stands in the place of a statement of a function."""
    if not isinstance(node, REMOVED) or isinstance(parent, ast.Module | ast.ClassDef):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return
    last = isinstance(parent, ast.FunctionDef) and parent.body[-1] is node
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant):
        if node.value.value == "":
            yield ast.Return(ast.Constant("mutant"))
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))
    if not (last and isinstance(node, ast.Return)):
        yield ast.Pass()
