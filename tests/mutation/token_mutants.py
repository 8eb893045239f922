"""One-token mutants of a source: a comparison, an operator, a constant or a condition is changed, and nothing else."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SWAPPED = {
    "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "in": "not in", "not in": "in", "is": "is not",
    "is not": "is", "+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "&": "|", "|": "&",
    "and": "or", "or": "and",
}  # fmt: skip
SILENT = {"strict", "slots", "frozen", "description", "compression"}
"""Keyword arguments that guard or describe, and change nothing that is computed."""


@dataclass(frozen=True)
class Mutant:
    """A changed source.

    Args:
        file: path of the source, relative to the package.
        number: of the line, counted from 1.
        line: the line as it is, without the space around it.
        becomes: the line as the mutant has it.
        source: the whole mutant.
    """

    file: str
    number: int
    line: str
    becomes: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}\n  - {self.line}\n  + {self.becomes}"


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """Make every mutant of a source; texts, annotations, decorators and what is raised are left alone."""
    data = source.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for start, end, new in _changes(ast.parse(source), data, starts):
        changed = (data[:start] + new.encode() + data[end:]).decode()
        number = data.count(b"\n", 0, start) + 1
        line, becomes = (text.splitlines()[number - 1].strip() for text in (source, changed))
        yield Mutant(file, number, line, becomes, changed)


def _changes(tree: ast.AST, data: bytes, starts: list[int]) -> Iterator[tuple[int, int, str]]:
    """Find what can be changed: start and end of a piece of the source, and what takes its place."""

    def span(node: ast.AST) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def between(left: ast.AST, right: ast.AST) -> Iterator[tuple[int, int, str]]:
        start, end = span(left)[1], span(right)[0]
        words = data[start:end].decode().split("#")[0].strip(" ()\\\n")
        if (new := SWAPPED.get(" ".join(words.split()))) is not None:
            at = start + data[start:end].index(words.encode())
            yield at, at + len(words.encode()), new

    for node in _walk(tree):
        match node:
            case ast.Compare():
                for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                    yield from between(left, right)
            case ast.BinOp():
                yield from between(node.left, node.right)
            case ast.BoolOp():
                yield from between(node.values[0], node.values[1])
            case ast.UnaryOp(op=ast.Not() | ast.USub() as sign):
                yield (start := span(node)[0]), start + (3 if isinstance(sign, ast.Not) else 1), ""
            case ast.If() | ast.IfExp() | ast.While() | ast.comprehension():
                for test in node.ifs if isinstance(node, ast.comprehension) else [node.test]:
                    if not _is_negated_elsewhere(test):
                        start, end = span(test)
                        yield start, end, f"(not ({data[start:end].decode()}))"
            case ast.Constant(value=bool()):
                yield *span(node), str(not node.value)
            case ast.Constant(value=int() | float()):
                yield *span(node), repr(node.value + 1)


def _is_negated_elsewhere(test: ast.AST) -> bool:
    """Tell whether the change of its operator negates a condition."""
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(
            test.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn | ast.Is | ast.IsNot
        )
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            left = isinstance(child, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom) or (
                isinstance(child, ast.keyword) and child.arg in SILENT
            )
            if isinstance(child, ast.AST) and not left:
                yield from _walk(child)
