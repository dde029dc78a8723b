"""A function's code from the lines of its source.

A build does this to see whether the lines say what the function does; another series of Python does
it to run the function. Only the function itself is compiled. What stands around it is replaced by
empty shells that give it its names: a function whose parameters are the free variables, and a class
for `super()` and for private names.
"""

from __future__ import annotations
import __future__

import ast
import copy
import warnings
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag
_NESTED = 0x10  # inspect.CO_NESTED
_LOCALS = ".<locals>."
_GLOBAL = "_"
"""What the function around is called if qualified names do not tell it: what it defines is global."""
_OF_A_CLASS = ("__class__", "__classdict__")

Position = tuple[int, int, int, int]
"""First line, column in bytes, last line, column after the end; of a `def` the columns are 0,
and the first line is that of its first decorator."""


def recompiled(
    lines: Sequence[str],
    file: str,
    name: str,
    qualname: str,
    source: Position | str,
    class_name: str | None,
    freevars: Sequence[str],
    flags: int,
    imported: Iterable[str] = (),
) -> CodeType:
    """Compile one function or lambda.

    Args:
        lines: of its file, of which those count that it stands in.
        file: what its file is called.
        name: of the function, "<lambda>" for a lambda.
        qualname: its qualified name.
        source: where it stands in its file; or its text, which does not come from there.
        class_name: of the innermost class around it.
        freevars: names of its free variables, as its code has them.
        flags: of its code.
        imported: names that its module imports. Calls of what is in a module have bytecode of their
            own, which does the same.

    Raises:
        SyntaxError: this Python does not know its syntax.
        LookupError: it is not what stands there, or has other free variables here.
        ValueError: the text is malformed.
    """
    future = flags & _FUTURES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever wrote it has seen them
        node, above = _parsed(lines, file, name, source, future)
        around = _around(name, qualname, class_name, freevars, flags)
        within = _in_shells(node, name, around, class_name, freevars)
        if imports := [ast.alias(each, **_ANYWHERE) for each in imported]:
            within.insert(0, ast.Import(imports, **_ANYWHERE))
        tree = ast.Module(within, [])
        code: CodeType = compile(tree, file, "exec", future, dont_inherit=True)
    for part in (around, class_name, name):
        if part is not None:
            code = _within(code, part)
    if code.co_freevars != tuple(freevars):
        raise LookupError(f"{qualname} has the free variables {', '.join(code.co_freevars)} here")
    code = _moved(code, above, len(code.co_qualname), qualname)
    if (code.co_flags ^ flags) & _NESTED:
        code = code.replace(co_flags=code.co_flags ^ _NESTED)
    return code


def placeholder(name: str, freevars: Sequence[str]) -> CodeType:
    """Return code of no use but for its free variables, for what is made anew in another way."""
    free = ", ".join(freevars)
    text = f"def w({free}):\n def f(*_, **__): raise NotImplementedError({name!r}, {free})\n"
    return _within(_within(compile(text, "<placeholder>", "exec", dont_inherit=True), "w"), "f")


def _parsed(
    lines: Sequence[str], file: str, name: str, source: Position | str, future: int
) -> tuple[ast.stmt, int]:
    """Return a function, or the expression that is a lambda, without what its definition runs.

    Also return how many lines of its file are missing above it.
    """
    if isinstance(source, str):
        text, position = source, (1, 0, 1, len(source.encode()))
    else:
        text, position = "".join(lines[source[0] - 1 : source[2]]), source
    is_lambda = name == "<lambda>"
    if is_lambda:
        alone = _lambda_alone(text, position)
    else:
        alone = "if 1:\n" + text if text[:1] in {" ", "\t", "\f"} else text
    above = position[0] - 1 - (alone is not text)
    # To move code down afterwards takes less time than to read that many blank lines; but the code of
    # a class holds the number of its line, since Python 3.13.
    if "class" in text and above > 0:
        alone, above = "\n" * above + alone, 0
    parsed: Any = compile(alone, file, "exec", ast.PyCF_ONLY_AST | future, dont_inherit=True)
    found = parsed.body[:1]
    if found and isinstance(found[0], ast.If):
        found = found[0].body
    kinds = (ast.Expr,) if is_lambda else (ast.FunctionDef, ast.AsyncFunctionDef)
    if not found or not isinstance(found[0], kinds):
        raise LookupError(f"No function {name} stands in line {position[0]} of {file}")
    node: ast.stmt = found[0]
    _strip(node.value if isinstance(node, ast.Expr) else node)
    return node, above


def _lambda_alone(text: str, position: Position) -> str:
    """Return text in which a lambda stands alone, in its column of the second line."""
    _, column, _, end = position
    rows = text.removesuffix("\n").encode().split(b"\n")
    rows[-1] = rows[-1][:end]
    rows[0] = rows[0][column:]
    return "(\n" + " " * column + b"\n".join(rows).decode() + "\n)"


def _strip(node: Any) -> None:
    """Take out what runs when the function is defined: its results travel by themselves."""
    given = node.args
    for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if each is not None:
            each.annotation = None
    given.defaults = [_nothing(each) for each in given.defaults]
    given.kw_defaults = [each and _nothing(each) for each in given.kw_defaults]
    if not isinstance(node, ast.Lambda):
        node.returns = None
        # The first tells where the function begins.
        node.decorator_list = [_nothing(each) for each in node.decorator_list[:1]]


def _nothing(node: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Constant(None), node)


def _around(
    name: str, qualname: str, class_name: str | None, freevars: Sequence[str], flags: int
) -> str | None:
    """Return what to call the function around, such that qualified names come out as they were."""
    tail = name if class_name is None else f"{class_name}.{name}"
    around = qualname.removesuffix(tail)
    if around.endswith(_LOCALS) and around + tail == qualname:
        return around.removesuffix(_LOCALS)
    return _GLOBAL if _given(class_name, freevars) or flags & _NESTED else None


def _given(class_name: str | None, freevars: Sequence[str]) -> list[str]:
    """Return the free variables that no class around gives by itself."""
    return [each for each in freevars if class_name is None or each not in _OF_A_CLASS]


def _in_shells(
    node: ast.stmt,
    name: str,
    around: str | None,
    class_name: str | None,
    freevars: Sequence[str],
) -> list[ast.stmt]:
    inner = [node]
    if class_name is not None:
        shell = copy.copy(_CLASS)
        shell.name, shell.body = class_name, inner
        inner = [shell]
    if around is not None:
        if class_name is not None and class_name not in freevars:
            # It is another that the code refers to.
            inner.insert(0, ast.Global([class_name], **_ANYWHERE))
        if class_name is None and around == _GLOBAL and name not in freevars:
            inner.insert(0, ast.Global([name], **_ANYWHERE))
        shell = copy.copy(_FUNCTION)
        given = [ast.arg(each, **_ANYWHERE) for each in _given(class_name, freevars)]
        shell.name, shell.body, shell.args = around, inner, copy.copy(shell.args)
        shell.args.args = given
        inner = [shell]
    return inner


# Of this very series, with all the fields it wants.
_CLASS: Any
_FUNCTION: Any
_CLASS, _FUNCTION = ast.parse("class c: pass\ndef f(): pass").body
_ANYWHERE: Any = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}


def _within(code: CodeType, name: str) -> CodeType:
    parts = [each for each in code.co_consts if isinstance(each, CodeType)]
    for part in parts:
        if part.co_name == name:
            return part
    for part in parts:
        if part.co_name.startswith("<generic parameters of "):
            return _within(part, name)
    raise LookupError(f"{name} is not in {code.co_qualname}")


def _moved(code: CodeType, above: int, length: int, prefix: str) -> CodeType:
    """Return code that begins further down, and whose qualified names begin in another way."""
    return code.replace(
        co_firstlineno=code.co_firstlineno + above,
        co_qualname=prefix + code.co_qualname[length:],
        co_consts=tuple(
            _moved(each, above, length, prefix) if isinstance(each, CodeType) else each
            for each in code.co_consts
        ),
    )
