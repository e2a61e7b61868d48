"""Digests of scripts and of the library behind them: code changes them, a comment or docstring does not.

Each rule has the digest of its script as a parameter, so Snakemake runs again what an edit concerns, and
only that.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path

_WORKFLOW = Path(__file__).parents[2]

#: Modules that no digest has, because no change of them alters a result: they decide only
_RUNTIME = {
    f"rhvae_mri/{file}.py"
    for file in (
        "__init__",  # what the version is called: results keep that of the code that made them
        "runtime/logs",  # where messages go
        "runtime/machine",  # what is recorded of the machine
        "runtime/locks",  # which job waits for which, and which GPU a job gets
        "runtime/interrupts",  # when a training stops, to go on from its checkpoint later
    )
}


def script_digest(name: str, *functions: str) -> str:
    """Digest the syntax trees of a script of the workflow and of all library modules that it imports.

    ``functions`` are those of the library that it imports by their dotted names. Imports inside functions
    count, and so do imports of imports; modules that alter no result do not.
    """
    found: set[str] = set()
    waiting = [f"scripts/{name}.py", *(file for each in functions for file in _files_of(f"rhvae_mri.{each}"))]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _read(file)[1]
    return _hash("".join(f"{file} {_read(file)[0]}\n" for file in sorted(found)))[:16]


@cache
def _read(file: str) -> tuple[str, frozenset[str]]:
    """The digest of a file's syntax tree, without docstrings, and the library files that it imports."""
    path = _WORKFLOW / file
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ".".join(Path(file).parent.parts)
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        elif isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            imports.update(f"{base}.{alias.name}" for alias in node.names)
    return _hash(ast.dump(tree)), frozenset(file for name in imports for file in _files_of(name))


def _files_of(name: str) -> Iterator[str]:
    """The files of the library that an import of a dotted name runs: those of its packages, and its own."""
    if name.partition(".")[0] == "rhvae_mri":
        for base in accumulate(name.split("."), "{}/{}".format):
            for file in (f"{base}.py", f"{base}/__init__.py"):
                if file not in _RUNTIME and (_WORKFLOW / file).is_file():
                    yield file


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
