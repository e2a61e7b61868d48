"""Seeded nonsense in configuration and tables ends in a clear error or a listed exclusion, or is harmless."""

import copy
import random
import shutil
from pathlib import Path

import handmade_cohorts as handmade
import pytest
from clinica_dataset import Dataset, write_table

from rhvae_mri.cohort.decisions import COLUMNS as DECISION_COLUMNS
from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.convert.adni_scans import complete_scans, replace_screenings, to_mpragemeta
from rhvae_mri.convert.adni_tables import read_adni_tables
from rhvae_mri.convert.aibl_tables import read_aibl_tables, read_scan_dates
from rhvae_mri.convert.archive import list_series
from rhvae_mri.convert.preflight import check_downloads
from rhvae_mri.convert.sources import check_sources
from rhvae_mri.convert.study_tables import Ledger
from rhvae_mri.cost.workload import expected_sizes, list_jobs
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.study.checks import check_configuration
from rhvae_mri.study.grid import list_conditions

VALUES = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10**30, -0.0, 1e308, float("nan"), float("inf"), 0.5, 1e-300),
    *("", "x", "1e-5", "null", "simulated", "bids", "\x00", "a" * 5000, "../..", "$(x)", "é\u202e", "{a}"),
    *([], [[]], [None], [1], [1, 2], [2, 1], ["AD"], [-1, 5], [float("nan")] * 2, list(range(50))),
    *({}, {"AD": 1}, {"source": "bids"}, {"": ""}, {1: 2}),
]

CELLS = [
    *("", "n/a", "nan", "sub-1", "ses-M000", "CN", "ad", "-4", "1e999", "x" * 3000, "=1", '"', "\t", "\n"),
    *("\r", "\x00", "\x1b", "\ufeff", "\u202e", "../..", "sub-A", "sub-A/..", "ses-", "M", "2026-13-01"),
    *("keep", "None"),
]
#: What the tables of a download may have as well.
STUDY_CELLS = [
    *("2006-13-45", "0000-00-00", "31Feb2006", "1677-01-01", "12/2006", "sc", "nv", "m99999", "m٣", "inf"),
    *(";", "002_S_1", "002_S_12345678", "I٣", "²", "1" * 400, "x" * 200_000),
]


def places(section, path=()):
    """Every key of the configuration, as a path."""
    for key, value in section.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def put(config, path, value):
    for key in path[:-1]:
        config = config[key]
    config[path[-1]] = value


@pytest.mark.parametrize("seed", range(150))
def test_a_nonsensical_configuration_is_a_clear_error_or_can_be_planned(seed, load_config):
    chance = random.Random(seed)
    config = copy.deepcopy(load_config(chance.choice(["config.yaml", "paper.yaml"])))
    all_places = list(places(config))
    changed = []
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        path, value = chance.choice(all_places), chance.choice(VALUES)
        try:
            put(config, path, value)
        except TypeError:  # an earlier change took the section away
            continue
        changed.append((path, value))
    try:
        config = check_configuration(config)
        check_sources(config, [name for name, one in config["cohorts"].items() if one["source"] != "none"])
    except StudyError as error:
        assert error.remedy, changed
        assert str(error).replace("\n", "").isprintable()
        return
    # what passes for valid can be planned
    assert list_conditions(config["grid"], config["synthetic"]["sizes"]) is not None
    assert list_jobs(config, expected_sizes(config, 1.0)), changed


def spoil(path, chance, separator="\t", cells=CELLS):
    """Damage a table: a cell, a row, a column, the bytes, or all of it."""
    content = path.read_bytes()
    kind = chance.choice([*["cell"] * 3, "row", "column", "bytes", "cut", "empty", "header", "encoding"])
    lines = [line.split(separator) for line in content.decode(errors="surrogateescape").split("\n")]
    row = chance.randrange(len(lines))
    if kind == "cell":
        lines[row][chance.randrange(len(lines[row]))] = chance.choice(cells)
    elif kind == "row":
        lines.insert(row, chance.choice([lines[row], lines[row][:1], lines[row] * 3, []]))
    elif kind == "column":
        lines = [line[1:] for line in lines]
    elif kind == "header":
        lines[0] = [chance.choice([name, name.upper(), "", name * 2]) for name in lines[0]]
    text = "\n".join(separator.join(line) for line in lines)
    content = {
        "bytes": bytes(chance.randrange(256) for _ in range(200)),
        "cut": content[: chance.randrange(len(content) + 1)],
        "empty": b"",
        "encoding": text.encode(chance.choice(["utf-16", "utf-8-sig", "latin-1"]), errors="replace"),
    }.get(kind, text.encode(errors="surrogateescape"))
    path.write_bytes(content)
    return kind


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_table_is_a_clear_error_or_a_listed_exclusion(seed, tmp_path):
    chance = random.Random(seed)
    dataset = Dataset(tmp_path)
    for name, diagnosis in (("sub-A", "CN"), ("sub-B", "AD"), ("sub-C", "MCI")):
        dataset.add(name, ("ses-M000", diagnosis, True), ("ses-M012", diagnosis, chance.random() < 0.5))
        dataset.converted(name, "ses-M006", chance.choice(["missing", "unreadable"]), "cut short")
    decision = ("ADNI", "sub-A", "ses-M000", "replace", "ringing", "me", "2026-01-01")
    write_table(dataset.exclude, [dict(zip(DECISION_COLUMNS, decision, strict=True))])
    write_table(dataset.bids / "participants.tsv", dataset.participants)
    write_table(dataset.report, dataset.conversion)
    own = sorted(dataset.bids.rglob("*_*.tsv"))
    tables = [dataset.bids / "participants.tsv", dataset.report, dataset.exclude, *own]
    kinds = [spoil(chance.choice(tables), chance) for _ in range(chance.choice([1, 1, 2, 3]))]
    try:
        list_images("ADNI", dataset.bids, dataset.report, dataset.exclude, dataset.target)
    except StudyError as error:
        assert str(error).replace("\n", "").isprintable()
        assert error.where is not None, (kinds, error)
        return
    images = read_images(dataset.target)
    assert set(images["status"]) <= {"kept", "excluded"}
    assert images.loc[images["status"] == "excluded", "reason"].notna().all()
    assert images.loc[images["status"] == "kept", "path"].map(lambda path: Path(path).is_file()).all()
    assert images["image_id"].is_unique


@pytest.fixture(scope="module", params=[("ADNI", 2018), ("ADNI", 2026), ("AIBL", 2018)], ids=str)
def download(request, tmp_path_factory):
    cohort, generation = request.param
    people = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}[cohort]()
    images, tables, _ = handmade.write_cohort(people, tmp_path_factory.mktemp(cohort), generation)
    return cohort, images, tables, list_series(images, cohort)


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_study_table_is_a_clear_error_or_its_cells_are_listed(seed, download, tmp_path):
    cohort, images, tables, series = download
    chance = random.Random(seed)
    shutil.copytree(tables, tmp_path / "tables")
    for path in chance.choices(sorted((tmp_path / "tables").glob("*.csv")), k=chance.choice([1, 2, 5])):
        spoil(path, chance, ",", CELLS + STUDY_CELLS * 2)
    try:
        check_downloads([(cohort, images, tmp_path / "tables")])
    except StudyError as error:
        assert error.remedy
        assert str(error).replace("\n", "").isprintable()
        return
    ledger = Ledger()
    if cohort == "AIBL":
        read_scan_dates(read_aibl_tables(tmp_path / "tables", ledger))
    else:
        read = read_adni_tables(tmp_path / "tables", images, ledger)
        people = set(read.visits.merge["PTID"])
        own = [each for each in series if each.subject in people]
        scans = complete_scans(read.scans, own, read.visits, ledger)
        to_mpragemeta(replace_screenings(scans, ledger), ledger)
    write_tsv(tmp_path / "tables.tsv", ledger.table())
    text = (tmp_path / "tables.tsv").read_text()
    assert all(line.replace("\t", "").isprintable() for line in text.split("\n"))
