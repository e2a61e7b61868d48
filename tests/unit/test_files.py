import io
import os
import time

import numpy
import pandas
import pytest
from safetensors.numpy import save_file

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import (
    atomic_folder,
    atomic_path,
    read_tsv,
    read_yaml,
    reset_future_times,
    write_json,
    write_text,
    write_tsv,
)


def test_a_file_is_there_when_it_is_complete_and_not_before(tmp_path):
    target = tmp_path / "folder" / "table.tsv"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.name.endswith(".table.tsv")
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["table.tsv"]


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.tsv"
    write_text(target, "former")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["table.tsv"]


def test_others_can_read_what_a_careful_writer_keeps_to_its_owner(tmp_path):
    """safetensors makes its files readable by their owner only."""
    plain, tensors = tmp_path / "plain.txt", tmp_path / "weights.safetensors"
    plain.touch()
    with atomic_path(tensors) as temporary:
        save_file({"weights": numpy.zeros(3)}, temporary)
    assert tensors.stat().st_mode == plain.stat().st_mode


def test_what_a_killed_writer_has_left_is_removed_by_the_next(tmp_path):
    (tmp_path / ".0a1b2c3d.table.tsv").write_text("half")
    (tmp_path / ".0a1b2c3d.table.tsv.gz").write_text("of another file")
    write_text(tmp_path / "table.tsv", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".0a1b2c3d.table.tsv.gz", "table.tsv"]


def test_files_of_the_future_get_the_present_time_and_others_keep_theirs(tmp_path):
    present = time.time()
    times = {"of the past": present - 1000, "a little ahead": present + 20, "of tomorrow": present + 86400}
    for name, one in times.items():
        write_text(tmp_path / "folder" / name, "")
        os.utime(tmp_path / "folder" / name, (one, one))
    assert reset_future_times(tmp_path) == 1
    found = {name: (tmp_path / "folder" / name).stat().st_mtime for name in times}
    assert found.pop("of tomorrow") == pytest.approx(present, abs=30)
    assert found == pytest.approx({name: times[name] for name in found}, abs=1e-3)
    assert reset_future_times(tmp_path / "missing") == 0


def test_a_folder_takes_its_place_when_it_is_complete_and_a_failed_one_leaves_the_former(tmp_path):
    target = tmp_path / "parent" / "folder"
    write_text(target.with_name(".folder.partial") / "of a killed job", "")
    for name in ("first", "second"):
        with atomic_folder(target) as temporary:
            write_text(temporary / name, "")
            assert not (target / name).exists()
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        write_text(temporary / "third", "")
        raise RuntimeError
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        "parent/folder/second"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sex: \u5973\nvalues: [1, 1.0e-5, null, true]\n", {"sex": "女", "values": [1, 1e-5, None, True]}),
        ("\ufeffa: ä".encode(), {"a": "ä"}),
        ("", None),
    ],
)
def test_yaml_is_read_as_plain_values_in_utf_8_whatever_the_machine_speaks(
    tmp_path, monkeypatch, text, expected
):
    monkeypatch.setattr(io, "text_encoding", lambda encoding, level=2: encoding or "ascii")
    (tmp_path / "a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert read_yaml(tmp_path / "a.yaml") == expected


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"a: [1\nb: }", "line 2, column 2"),
        (b"a: \xff", "'utf-8' codec can't decode byte 0xff"),
        (b"!!python/object/apply:os.mkdir [run]", "could not determine a constructor"),
    ],
)
def test_what_is_no_plain_yaml_is_named_with_the_cause_on_one_line_and_runs_nothing(
    tmp_path, monkeypatch, content, cause
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(StudyError, match="no YAML") as error:
        read_yaml(tmp_path / "a.yaml")
    assert error.value.where == tmp_path / "a.yaml"
    assert cause in error.value.cause
    assert "\n" not in error.value.cause
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_only_empty_cells_and_na_are_missing_and_quotes_are_letters(tmp_path):
    cells = ["n/a", "", "NA", "nan", "None", "null", "N/A", '"', '"x"', "007"]
    write_text(tmp_path / "a.tsv", "row\tcell\n" + "".join(f"{i}\t{cell}\n" for i, cell in enumerate(cells)))
    found = read_tsv(tmp_path / "a.tsv")["cell"]
    assert found[2:].tolist() == cells[2:]
    assert found[:2].isna().all()
    write_text(tmp_path / "b.tsv", "cell\tnumber\n007\t007\nn/a\t1\n")
    table = read_tsv(tmp_path / "b.tsv", ("cell",))
    assert table["cell"][0] == "007"
    assert table["cell"].isna()[1]
    assert table["number"].tolist() == [7, 1]


def test_a_table_is_written_without_quotes_and_each_row_on_one_line(tmp_path):
    table = pandas.DataFrame({"text": ["a\t\nb", 'say "no"', None], "number": [1.5, numpy.nan, 2]})
    write_tsv(tmp_path / "a.tsv", table)
    assert (tmp_path / "a.tsv").read_bytes() == b'text\tnumber\na b\t1.5\nsay "no"\tn/a\nn/a\t2.0\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]
