"""Which packages and files a script of the workflow needs: its imports, followed through the library by name.

A function may import a package that its module does not, so what counts is which functions can be called.
"""

import ast
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflow"
LIBRARY = "rhvae_mri"

#: Packages by the name under which they are imported, where it is another.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "ants": "antspyx",
    "sklearn": "scikit-learn",
    "pydantic_core": "pydantic",  # which asks for exactly one version of it
}

#: A package that is found, or run as a program, without an import statement.
_WITHOUT_IMPORT = re.compile(r'find_spec\("(\w+)"\)|executable, "-m", "(\w+)[."]')


def packages_of(script: Path) -> set[str]:
    """The names, as on the package index, of the packages that a script needs."""
    needed = set()
    for _, body in _reached(script):
        for node in (inner for part in body for inner in ast.walk(part)):
            needed |= _imports(node)[0]
        text = "\n".join(ast.unparse(part) for part in body).replace("'", '"')
        needed |= {first or second for first, second in _WITHOUT_IMPORT.findall(text)}
        needed |= {"openpyxl"} if "read_excel(" in text else set()
    return {DISTRIBUTIONS.get(name, name) for name in needed if name not in sys.stdlib_module_names}


def files_of(script: Path) -> set[Path]:
    """The files of the workflow that a script reads by constants of the library."""
    found = set()
    for path, body in _reached(script):
        if path != script and "__file__" in path.read_text(encoding="utf-8"):
            module = import_module(".".join(path.relative_to(WORKFLOW).with_suffix("").parts))
            for node in (inner for part in body for inner in ast.walk(part)):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    found |= {value for value in [getattr(module, node.id, None)] if isinstance(value, Path)}
    return {path for path in found if path.is_file()}


def templates_of(script: Path) -> set[Path]:
    """The templates that a script renders, and those that these extend, include or import."""
    bodies = (part for _, body in _reached(script) for part in body)
    texts = (getattr(node, "value", None) for part in bodies for node in ast.walk(part))
    waiting = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[\w.]+\.j2", text)}
    found = set()
    while waiting:
        found.add(path := WORKFLOW / "templates" / waiting.pop())
        named = re.findall(
            r'[{<]% (?:extends|include|import|from) "([^"]+)"', path.read_text(encoding="utf-8")
        )
        waiting |= {name for name in named if WORKFLOW / "templates" / name not in found}
    return found


def _reached(script):
    """The files that a script leads to, each with what runs at its import and, in turn, each function."""
    seen, waiting = set(), [(script, None)]
    while waiting:
        path, name = waiting.pop()
        if (path, name) in seen:
            continue
        seen.add((path, name))
        top, definitions, imported = _parts(path)
        body = top if name is None else definitions.get(name, [])
        yield path, body
        for node in (inner for part in body for inner in ast.walk(part)):
            library = _imports(node)[1]
            waiting += [(file, None) for file, _ in library.values()]
            if name is not None:
                waiting += library.values()
            if isinstance(node, ast.Name):
                waiting += [(path, node.id)] if node.id in definitions else []
                waiting += [imported[node.id]] if node.id in imported else []


@cache
def _parts(path):
    """What runs when a module is imported, its definitions by name, and what it takes from other modules."""
    top, definitions, imported = [], {}, {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = [node]
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            top.append(node)
            imported |= _imports(node)[1]
    return top, definitions, imported


def _imports(node):
    """The packages that a statement imports, and by name the file and definition of parts of the library."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names} - {LIBRARY}, {}
    if not isinstance(node, ast.ImportFrom) or node.module == "__future__":
        return set(), {}
    if not node.module.startswith(LIBRARY):
        return {node.module.split(".")[0]}, {}
    found = {}
    for alias in node.names:
        submodule = _file_of(f"{node.module}.{alias.name}")
        place = (submodule, None) if submodule else (_file_of(node.module), alias.name)
        found[alias.asname or alias.name] = place
    return set(), found


def _file_of(name):
    """The file of a module or package of the library; None for anything else."""
    base = WORKFLOW.joinpath(*name.split("."))
    files = [base.with_suffix(".py"), base / "__init__.py"]
    return next((file for file in files if file.is_file()), None)
