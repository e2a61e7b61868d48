"""No code of the workflow runs what it reads: the syntax trees are searched for every way to do so."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sorted(
    path for folder in ("workflow", "benchmarks", "envs") for path in (ROOT / folder).rglob("*.py")
)
ARCHIVES = ROOT / "workflow/rhvae_mri/convert/archive.py"
RULES = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]

#: Modules that run what they load, or unpack archives wherever these say. Only their errors may be imported.
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "codeop"),
    *("tarfile", "zipfile", "zipimport", "pty", "commands", "telnetlib", "ftplib"),
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "input"}
FORBIDDEN_METHODS = {
    *("popen", "unpack_archive", "extractall", "read_pickle", "to_pickle", "mktemp", "getoutput"),
    *(
        "getstatusoutput",
        "full_load",
        "unsafe_load",
        "set_default_verify_paths",
        "_create_unverified_context",
    ),
    *("spawnl", "spawnv", "execl", "execv", "execvp", "import_module"),
}


def faults(source):
    """Every dangerous thing in a Python source, as line and words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in FORBIDDEN_MODULES:
                    yield node.lineno, f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            for alias in node.names:
                if not alias.name.endswith("Error"):
                    yield node.lineno, f"from {node.module} import {alias.name}"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, words) for words in call_faults(node))


def call_faults(call):
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    if isinstance(call.func, ast.Name) and name in FORBIDDEN_CALLS:
        yield f"{name}()"
    if (
        name in FORBIDDEN_METHODS
        or (owner == "os" and name == "system")
        or (owner == "yaml" and name in ("load", "load_all"))
    ):
        yield f"{owner}.{name}()"
    # Module.eval() of torch has no argument; pandas runs the text that eval and query are given
    if owner and name in ("eval", "query") and not all(isinstance(arg, ast.Constant) for arg in call.args):
        yield f"{owner}.{name}(…)"
    if owner == "torch" and name == "load" and not is_true(arguments.get("weights_only")):
        yield "torch.load without weights_only=True"
    if name == "save" and owner == "torch":
        yield "torch.save"
    for keyword in ("shell", "allow_pickle"):
        if keyword in arguments and not is_constant(arguments[keyword], False):
            yield f"{keyword}={ast.unparse(arguments[keyword])}"
    if owner in ("numpy", "np") and name == "save" and not is_constant(arguments.get("allow_pickle"), False):
        yield "numpy.save, which pickles objects"


def is_true(node):
    return is_constant(node, True)


def is_constant(node, value):
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_runs_what_it_reads(path):
    source = path.read_text(encoding="utf-8")
    found = [words for _, words in faults(source)]
    if path == ARCHIVES:
        # which files an archive holds is asked, but nothing is taken out of it
        found.remove("import zipfile")
        used = set(re.findall(r"\b(?:zipfile|archive)\.(\w+)", source))
        assert used <= {"ZipFile", "BadZipFile", "namelist"}
    if path.is_relative_to(ROOT / "benchmarks"):
        # tensors for another implementation, which reads no other format
        found = [words for words in found if words != "torch.save"]
    assert found == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_call_scripts_and_no_shell(path):
    source = path.read_text(encoding="utf-8")
    assert re.findall(r"^\s*(?:shell|run|notebook|wrapper|cwl)\s*:", source, re.MULTILINE) == []
    assert re.findall(r"\b(?:shell|eval|exec|os\.system|pickle)\s*\(", source) == []
    # tarfile is safe only with a filter, which Python 3.11.2 of Debian 12 does not know; zipfile always is
    assert re.findall(r"^\s*(?:import|from) tarfile\b", source, re.MULTILINE) == []


@pytest.mark.parametrize("path", sorted((ROOT / "workflow").rglob("*.js")), ids=lambda path: path.name)
def test_scripts_of_pages_write_text_and_no_markup(path):
    source = path.read_text(encoding="utf-8")
    pattern = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextual"
        r"|srcdoc|javascript:|\bfetch\(|XMLHttpRequest|\bimport\("
    )
    assert re.findall(pattern, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os.path, pickle as p",
        "from pickle import loads",
        "from tarfile import open as o",
        "eval('1')",
        "exec(text)",
        "compile(text, 'x', 'exec')",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=flag)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
        "numpy.save(path, values)",
        "torch.save(model, path)",
        "pandas.read_pickle(path)",
        "shutil.unpack_archive(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "table.query(text)",
        "importlib.import_module(name)",
    ],
)
def test_the_search_finds_each_kind(source):
    assert len(list(faults(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from pickle import UnpicklingError",
        "model.eval()",
        "torch.load(path, weights_only=True)",
        "subprocess.run(['ls'], shell=False)",
        "yaml.safe_load(text)",
    ],
)
def test_the_search_lets_the_harmless_pass(source):
    assert list(faults(source)) == []
