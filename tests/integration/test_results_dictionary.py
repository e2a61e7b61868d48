"""The tables of the demo have the columns that docs/results.md says."""

from fnmatch import fnmatch

import pytest
from results_dictionary import read_dictionary

pytestmark = pytest.mark.demo


def test_every_table_has_the_columns_of_its_description(demo):
    entries = [entry for entry in read_dictionary() if entry.columns]
    wrong = []
    for name in demo.written:
        if not name.endswith(".tsv") or name.startswith(("logs/", "benchmarks/", "bids/")):
            continue
        header = (demo.results / name).open().readline().rstrip("\n").split("\t")
        fitting = [entry for entry in entries if any(fnmatch(name, pattern) for pattern in entry.patterns)]
        assert len(fitting) == 1, name
        expected = fitting[0].columns
        needed = [column for column in expected if column not in fitting[0].optional]
        unknown = [column for column in header if not any(fnmatch(column, one) for one in expected)]
        missing = [one for one in needed if not any(fnmatch(column, one) for column in header)]
        if unknown or missing:
            wrong.append((name, header))
    assert wrong == []
