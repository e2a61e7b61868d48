"""The arrows between the rooms of the library go one way."""

import ast

import pytest

#: The rooms, each below those that it builds on: none imports from one that stands further down here.
ROOMS = (
    *("io", "study", "runtime", "preprocess", "simulate", "cnn", "cohort", "convert", "quality"),
    *("generators", "search", "statistics", "figures", "cost", "provenance", "pages", "audit"),
)
#: What knows cohorts, diagnoses, and the places of files.
STUDY = set(ROOMS) - {"io", "runtime", "study", "cnn", "generators", "search"}
#: What a part knows nothing of, or what builds on it; by its path below the library.
FORBIDDEN = {
    "generators/rhvae": STUDY | {"generators.assessment", "cnn", "search"},
    "generators": STUDY | {"cnn", "search"},
    "cnn": STUDY | {"generators", "search"},
}
#: What of `study` a network may know: how seeds are derived.
SEEDS = "rhvae_mri.study.seeds."


def imported_modules(folder):
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((file, f"{node.module}.{alias.name}") for alias in node.names)


def unwanted_imports(library, part, names):
    unwanted = tuple(f"rhvae_mri.{name}." for name in names)
    return [
        f"{file.relative_to(library)} imports {name}"
        for file, name in imported_modules(library / part)
        if f"{name}.".startswith(unwanted) and not name.startswith(SEEDS)
    ]


@pytest.fixture
def library(root):
    return root / "workflow" / "rhvae_mri"


def test_every_module_is_in_a_room(library):
    assert {path.name for path in library.glob("[!_]*")} == set(ROOMS)
    assert [path.name for path in library.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_that_it_builds_on(library, room):
    assert unwanted_imports(library, room, ROOMS[ROOMS.index(room) + 1 :]) == []


@pytest.mark.parametrize("part", FORBIDDEN)
def test_a_network_or_generator_knows_no_study(library, part):
    assert (library / part).is_dir()
    assert unwanted_imports(library, part, FORBIDDEN[part] | {"study"}) == []
