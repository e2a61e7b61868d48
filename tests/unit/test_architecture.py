"""The arrows between the parts of the library go one way."""

import ast

import pytest

#: What a part may not import, by its path below the library: it knows nothing of these, or they build on it.
FORBIDDEN = {
    "generators/rhvae": {"generators.assessment", "cnn", "search"},
    "generators": {"cnn", "search"},
    "cnn": {"generators", "search"},
    "learning": {"generators", "cnn", "search"},
}
#: What knows cohorts, diagnoses, and the places of files.
STUDY = {
    *("audit", "cohort", "convert", "cost", "evaluation", "figures", "imaging", "provenance", "quality"),
    *("reporting", "simulate", "study", "study_data", "study_grid", "command_line"),
}


def imported_modules(folder):
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((file, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_a_part_imports_nothing_that_builds_on_it(root, part):
    library = root / "workflow" / "rhvae_mri"
    assert (library / part).is_dir()
    unwanted = tuple(f"rhvae_mri.{name}." for name in FORBIDDEN[part] | STUDY)
    found = [
        f"{file.relative_to(library)} imports {name}"
        for file, name in imported_modules(library / part)
        if f"{name}.".startswith(unwanted)
    ]
    assert found == []
