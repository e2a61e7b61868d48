"""A study that cannot work stops before any job, with the key or file and the remedy."""

import pytest

NOWHERE = {"source": "download", "images": "nowhere/images", "tables": "nowhere/tables"}
WITHOUT_TABLES = {"source": "download", "images": "images", "tables": "tables"}
OF_THE_USER = {"source": "file", "file": "nowhere/network.safetensors"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cnn": {"sedes": 3}}, ["unknown key `sedes` in cnn: did you mean `seeds`?"]),
        (
            {"cohorts": {"AIBL": NOWHERE}},
            ["`cohorts.AIBL.images`: there is no folder nowhere/images", "what to do"],
        ),
        ({"cohorts": {"ADNI": WITHOUT_TABLES}}, ["ADNIMERGE", "what to do"]),
        (
            {"exclude": "nowhere/exclude.tsv", "quality": {"deep": OF_THE_USER}},
            [
                "`exclude`: there is no file nowhere/exclude.tsv",
                "`quality.deep.file`: there is no file nowhere/network.safetensors",
            ],
        ),
    ],
    ids=["an unknown key", "no download", "no clinical table", "no files of the user's own"],
)
def test_what_cannot_work_is_refused(run_snakemake, load_config, tmp_path, changes, words):
    (tmp_path / "images" / "002_S_0001").mkdir(parents=True)
    (tmp_path / "tables").mkdir()

    def change(section, values):
        for key, value in values.items():
            if isinstance(value, dict):
                change(section[key], value)
            else:
                section[key] = value

    config = load_config()
    change(config, changes)
    result = run_snakemake(tmp_path, config)
    assert result.returncode != 0
    assert not (tmp_path / "results").exists()
    assert "Traceback" not in result.stdout
    assert [each for each in words if each not in result.stdout] == []
