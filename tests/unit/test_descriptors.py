import hashlib
import json

import pytest

from rhvae_mri.descriptors import obtain_file, read_descriptor
from rhvae_mri.errors import StudyError

CONTENT = b"weights"
PINNED = {"url": "https://example.invalid/w.bin", "sha256": hashlib.sha256(CONTENT).hexdigest()}


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("[1]", "no text `url`"), ('{"url": "http://a/b"}', "no text `sha256`")],
)
def test_a_wrong_descriptor_is_named(tmp_path, text, message):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(StudyError, match=message) as error:
        read_descriptor(tmp_path / "d.json")
    assert error.value.where == tmp_path / "d.json"


def test_one_of_several_descriptors_is_taken_by_its_name(tmp_path):
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"first": {"url": "https://a/b", "sha256": "0"}, "second": PINNED}))
    assert read_descriptor(file, "second") == PINNED
    with pytest.raises(StudyError, match="no entry 'third'") as error:
        read_descriptor(file, "third")
    assert error.value.remedy == "Its entries are first, second."


@pytest.mark.parametrize("text", ["[1]", "text"])
def test_a_file_without_entries_is_named(tmp_path, text):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(StudyError, match="no entry 'first'"):
        read_descriptor(tmp_path / "d.json", "first")


def test_a_download_that_is_there_is_taken_with_all_that_its_descriptor_says(tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "w.bin").write_bytes(CONTENT)
    (tmp_path / "d.yaml").write_text(json.dumps(PINNED | {"name": "a test", "license": "MIT"}))
    file, origin = obtain_file(tmp_path / "d.yaml", tmp_path / "downloads")
    assert file.read_bytes() == CONTENT
    assert origin == {"Origin": "a test", "URL": PINNED["url"], "License": "MIT", "SHA256": PINNED["sha256"]}


def test_a_descriptor_without_a_name_is_known_by_its_file(tmp_path):
    (tmp_path / "w.bin").write_bytes(CONTENT)
    (tmp_path / "d.json").write_text(json.dumps(PINNED))
    assert obtain_file(tmp_path / "d.json", tmp_path)[1]["Origin"] == "w.bin"


def test_the_users_own_file_is_taken_as_it_is(tmp_path):
    (tmp_path / "w.bin").write_bytes(CONTENT)
    file, origin = obtain_file(str(tmp_path / "w.bin"), tmp_path / "downloads")
    assert file == tmp_path / "w.bin"
    assert origin == {"Origin": "the user's file", "SHA256": PINNED["sha256"]}
    assert not (tmp_path / "downloads").exists()


def test_a_missing_file_of_the_user_is_named(tmp_path):
    with pytest.raises(StudyError, match="does not exist"):
        obtain_file(tmp_path / "no.bin", tmp_path)
