"""Digests of library modules: they change when the code changes, not when a comment or docstring does.

Each rule has the digest of the module behind it as a parameter, so Snakemake runs again what an edit of the
library concerns, and only that.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


def module_digest(*modules: str) -> str:
    """Digest the syntax trees of modules of this library and of all library modules that they import.

    Parameters
    ----------
    *modules : str
        Dotted names inside the library, such as ``"imaging.bias_field"``.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        If the library has no such module.

    Examples
    --------
    >>> module_digest("errors") == module_digest("errors")
    True
    """
    digest = hashlib.sha256()
    for path in sorted(_with_imports([_file_of(name) for name in modules])):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(_tree(path)[0].encode())
    return digest.hexdigest()[:16]


def _with_imports(paths: list[Path]) -> set[Path]:
    """The files and, transitively, the files of the library that they import anywhere in their code."""
    found: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_tree(path)[1])
    return found


@cache
def _tree(path: Path) -> tuple[str, tuple[Path, ...]]:
    """The syntax tree of a file, without docstrings, as text; and the library files that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE.name):
            base = (node.module or "").removeprefix(_PACKAGE.name).removeprefix(".")
            for name in [base, *(f"{base}.{alias.name}".removeprefix(".") for alias in node.names)]:
                if _is_module(name):
                    imports.append(_file_of(name))
    return ast.dump(tree), tuple(imports)


def _is_module(name: str) -> bool:
    """Whether the library has a module or package of this dotted name."""
    base = _PACKAGE.joinpath(*name.split(".")) if name else _PACKAGE
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _file_of(name: str) -> Path:
    """The file of a module or package, by its dotted name inside the library."""
    base = _PACKAGE.joinpath(*name.split(".")) if name else _PACKAGE
    file = base.with_suffix(".py")
    if file.is_file():
        return file
    if (base / "__init__.py").is_file():
        return base / "__init__.py"
    raise FileNotFoundError(f"The library has no module {name!r}.")
