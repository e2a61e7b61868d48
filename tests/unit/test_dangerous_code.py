"""No code of the workflow runs what it reads: the syntax trees are searched for every way to do so."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sorted(
    path for folder in ("workflow", "benchmarks", "envs") for path in (ROOT / folder).rglob("*.py")
)
FIGURES = ROOT / "workflow/scripts/draw_figure.py"
GENERATORS = ROOT / "workflow/rhvae_mri/generators/registry.py"
ARCHIVES = ROOT / "workflow/rhvae_mri/convert/archive.py"
TEXTS = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))]
TEXTS += sorted((ROOT / "workflow").rglob("*.js"))

#: Modules that run what they load, or unpack archives wherever these say. Only their errors may be imported.
MODULES = re.compile(
    r"(_?pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal|codeop?|tarfile|zipfile|zipimport|pty|commands"
    r"|telnetlib|ftplib)(\..*)?"
)
CALLS = re.compile(
    r"eval|exec|compile|__import__|input|os\.system|yaml\.load(_all)?|torch\.save"
    r"|(.*\.)?(popen|unpack_archive|extractall|read_pickle|to_pickle|mktemp|get(status)?output|full_load|unsafe_load"
    r"|set_default_verify_paths|_create_unverified_context|spawnl|spawnv|execl|execv|execvp|import_module)"
)
#: Calls that are safe only with this value of this argument.
ONLY_WITH = {"torch.load": ("weights_only", "True")} | dict.fromkeys(
    ("numpy.save", "np.save"), ("allow_pickle", "False")
)

#: In rules: no shell, and no tarfile, which is safe only with a filter that Debian 12's Python 3.11.2 lacks.
#: In the scripts of pages: text is written, no markup.
IN_TEXTS = {
    ".smk": r"^\s*(?:shell|run|notebook|wrapper|cwl)\s*:|\b(?:shell|eval|exec|os\.system|pickle)\s*\("
    r"|^\s*(?:import|from) tarfile\b",
    ".js": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextual"
    r"|srcdoc|javascript:|\bfetch\(|XMLHttpRequest|\bimport\(",
}


def faults(source):
    """Every dangerous thing in a Python source, in words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if MODULES.fullmatch(each.name))
        elif isinstance(node, ast.ImportFrom) and MODULES.fullmatch(node.module or ""):
            yield from (f"from {node.module}" for each in node.names if not each.name.endswith("Error"))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            # Module.eval() of torch has no argument; pandas runs the text that eval and query are given
            of_text = name.endswith((".eval", ".query")) and not all(
                isinstance(argument, ast.Constant) for argument in node.args
            )
            safe = ONLY_WITH.get(name)
            if (
                CALLS.fullmatch(name)
                or of_text
                or (safe and given.get(safe[0]) != safe[1])
                or {given.get("shell", "False"), given.get("allow_pickle", "False")} != {"False"}
            ):
                yield name


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_runs_what_it_reads(path):
    source = path.read_text(encoding="utf-8")
    found = list(faults(source))
    if path == ARCHIVES:
        # which files an archive holds is asked, but nothing is taken out of it
        found.remove("import zipfile")
        used = set(re.findall(r"\b(?:zipfile|archive)\.(\w+)", source))
        assert used <= {"ZipFile", "BadZipFile", "namelist"}
    if path == FIGURES:
        # of the library's figures, by the names of their registry
        found.remove("import_module")
        assert re.findall(r"import_module\((.*?)\)", source) == ['f"rhvae_mri.figures.{module}"']
    if path == GENERATORS:
        # the class that the user has named in the configuration
        found.remove("import_module")
        assert re.findall(r"import_module\((.*?)\)", source) == ["module"]
    if path.is_relative_to(ROOT / "benchmarks"):
        # tensors for another implementation, which reads no other format
        found = [words for words in found if words != "torch.save"]
    assert found == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_rules_call_scripts_and_no_shell_and_pages_write_no_markup(path):
    pattern = IN_TEXTS[path.suffix or ".smk"]
    assert re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE) == []


DANGEROUS = """\
import pickle
import os.path, pickle as p
from pickle import loads
from tarfile import open as o
eval('1')
exec(text)
compile(text, 'x', 'exec')
os.system('ls')
subprocess.run('ls', shell=True)
subprocess.run('ls', shell=flag)
torch.load(path)
torch.load(path, weights_only=False)
numpy.load(path, allow_pickle=True)
numpy.save(path, values)
torch.save(model, path)
pandas.read_pickle(path)
shutil.unpack_archive(path)
unpack_archive(path)
yaml.load(text, Loader=yaml.Loader)
table.query(text)
importlib.import_module(name)
"""
HARMLESS = """\
from pickle import UnpicklingError
model.eval()
torch.load(path, weights_only=True)
numpy.save(path, values, allow_pickle=False)
subprocess.run(['ls'], shell=False)
yaml.safe_load(text)
"""


def test_the_search_finds_each_kind_and_lets_the_harmless_pass():
    lines = [*DANGEROUS.splitlines(), *HARMLESS.splitlines()]
    found = [line for line in lines if list(faults(line))]
    assert found == DANGEROUS.splitlines()
