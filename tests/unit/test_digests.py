import ast
import re
import shutil
from modulefinder import ModuleFinder

import pytest
from imported_packages import WORKFLOW, files_of, templates_of

from rhvae_mri.runtime import digests

SCRIPT = '''"""What it is."""
from rhvae_mri.pack import work


def double(x):
    """Do it."""
    return work.twice(x)  # a comment
'''
SCRIPTS = sorted(path.stem for path in (WORKFLOW / "scripts").glob("*.py"))


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A function that digests a script of a made-up workflow, in which it first writes the given files."""
    monkeypatch.setattr(digests, "_WORKFLOW", tmp_path)

    def digest(files=()):
        for name, text in dict(files).items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        digests._read.cache_clear()
        return digests.script_digest("script")

    digest({"rhvae_mri/pack/work": "def twice(x):\n    return 2 * x\n", "scripts/script": SCRIPT})
    yield digest
    digests._read.cache_clear()


@pytest.mark.parametrize(
    ("before", "after"),
    [("a comment", "another"), ("Do it", "Do it well"), ("What it is", "What"), ("\n\n\n", "\n\n\n\n")],
)
def test_comments_and_docstrings_do_not_count(made_up, before, after):
    assert before in SCRIPT
    assert made_up() == made_up({"scripts/script": SCRIPT.replace(before, after)})


def test_code_of_the_script_counts(made_up):
    assert made_up() != made_up({"scripts/script": SCRIPT.replace("twice(x)", "twice(x) + 1")})


@pytest.mark.parametrize(
    "form",
    [
        *("from rhvae_mri.pack import helper", "from rhvae_mri.pack.helper import shared"),
        *("from rhvae_mri.pack.helper import *", "import rhvae_mri.pack.helper"),
        *("import os, rhvae_mri.pack.helper as helper", "from . import helper", "from .helper import shared"),
        *("from ..pack.helper import shared", "def late():\n    from rhvae_mri.pack.helper import shared"),
        "class Late:\n    def late(self):\n        import rhvae_mri.pack.helper",
    ],
)
@pytest.mark.parametrize("place", ["work", "__init__"])
def test_code_counts_in_what_the_library_imports_in_any_form(made_up, form, place):
    helper = "rhvae_mri/pack/helper"
    first = made_up({f"rhvae_mri/pack/{place}": form, helper: "shared = 1"})
    assert made_up({helper: "shared = 1  # one"}) == first
    assert made_up({helper: "shared = 2"}) != first


def test_an_unknown_script_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"scripts/absent\.py"):
        digests.script_digest("absent")


@pytest.fixture(scope="module")
def changed_by(tmp_path_factory):
    """The modules whose edit, one at a time, changes the digest of each script."""
    folder = tmp_path_factory.mktemp("workflow")
    for part in ("rhvae_mri", "scripts"):
        shutil.copytree(WORKFLOW / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    changed = {script: set() for script in SCRIPTS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "_WORKFLOW", folder)
        read = digests._read
        read.cache_clear()
        before = {script: digests.script_digest(script) for script in SCRIPTS}
        for path in (folder / "rhvae_mri").rglob("*.py"):
            edited = path.relative_to(folder).as_posix()
            path.write_text(f"{path.read_text()}\nEDITED = True\n")
            renewed = read.__wrapped__(edited)
            patch.setattr(
                digests, "_read", lambda file, new=(edited, renewed): new[1] if file == new[0] else read(file)
            )
            for script in SCRIPTS:
                if digests.script_digest(script) != before[script]:
                    changed[script].add(edited)
        read.cache_clear()
    return changed


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_digest_changes_with_each_module_that_python_finds_and_with_no_other(changed_by, script):
    runtime = [file.removesuffix(".py").replace("/", ".") for file in digests._RUNTIME]
    finder = ModuleFinder(path=[str(WORKFLOW)], excludes=runtime)
    finder.run_script(str(WORKFLOW / "scripts" / f"{script}.py"))
    found = {
        module.__file__.removeprefix(f"{WORKFLOW}/") for module in finder.modules.values() if module.__file__
    }
    assert len(found) > 3
    assert changed_by[script] == found - {f"scripts/{script}.py", "rhvae_mri/__init__.py"}


def test_the_modules_that_alter_no_result_are_there_and_the_library_itself_has_its_version_alone():
    assert {file for file in digests._RUNTIME if not (WORKFLOW / file).is_file()} == set()
    content = ast.parse((WORKFLOW / "rhvae_mri" / "__init__.py").read_text()).body[1:]
    assert [ast.unparse(node).split(" = ")[0] for node in content] == ["__version__"]


RULES = {
    block.partition(":")[0]: block
    for path in (WORKFLOW / "rules").glob("*.smk")
    for block in re.split(r"^(?:use )?(?:rule|checkpoint) ", path.read_text(), flags=re.MULTILINE)[1:]
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_the_digest_of_its_own_script_and_the_styles_and_templates_that_it_reads(rule):
    digest = re.findall(
        r'^        code=(?:script_digest|code_with_generator)\("(\w+)"\),$', RULES[rule], re.MULTILINE
    )
    original = re.match(r"(\w+) as ", rule)
    script = re.findall(r'"\.\./scripts/(\w+)\.py"', RULES[original[1]] if original else RULES[rule])
    assert len(script) == 1
    assert digest == script
    if not original:
        path = WORKFLOW / "scripts" / f"{script[0]}.py"
        read = {str(file.relative_to(WORKFLOW)) for file in files_of(path) | templates_of(path)}
        listed = set(re.findall(r'"(?:\.\./)?((?:style|templates)/[\w.]+)"', RULES[rule]))
        of_all_pages = {"templates/page.html.j2", "style/page.css"}
        assert listed | (of_all_pages if "page_files(" in RULES[rule] else set()) == read
