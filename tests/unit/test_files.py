import os
import time

import numpy
import pytest
from safetensors.numpy import save_file

from rhvae_mri.files import atomic_path, reset_future_times, write_text


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


def test_a_folder_that_is_not_there_has_no_files_of_the_future(tmp_path):
    assert reset_future_times(tmp_path / "missing") == 0
