"""A study that cannot work stops before any job, with the key or file and the remedy."""

import pytest


@pytest.fixture
def refuse(run_snakemake, tmp_path):
    def run(config):
        result = run_snakemake(tmp_path, config)
        assert result.returncode != 0
        assert not (tmp_path / "results").exists()
        assert "Traceback" not in result.stdout
        return result.stdout

    return run


def test_an_unknown_key(refuse, load_config):
    config = load_config()
    config["cnn"]["sedes"] = 3
    output = refuse(config)
    assert "unknown key `sedes` in cnn: did you mean `seeds`?" in output


def test_a_missing_download_folder(refuse, load_config):
    config = load_config()
    config["cohorts"]["AIBL"] |= {
        "source": "download",
        "images": "nowhere/images",
        "tables": "nowhere/tables",
    }
    output = refuse(config)
    assert "`cohorts.AIBL.images`: there is no folder nowhere/images" in output
    assert "what to do" in output


def test_a_missing_clinical_table(refuse, load_config, tmp_path):
    (tmp_path / "images" / "002_S_0001").mkdir(parents=True)
    (tmp_path / "tables").mkdir()
    config = load_config()
    config["cohorts"]["ADNI"] |= {
        "source": "download",
        "images": str(tmp_path / "images"),
        "tables": str(tmp_path / "tables"),
    }
    output = refuse(config)
    assert "ADNIMERGE" in output
    assert "what to do" in output


def test_missing_files_of_the_users_own(refuse, load_config):
    config = load_config()
    config["exclude"] = "nowhere/exclude.tsv"
    config["quality"]["deep"] |= {"source": "file", "file": "nowhere/network.safetensors"}
    output = refuse(config)
    assert "`exclude`: there is no file nowhere/exclude.tsv" in output
    assert "`quality.deep.file`: there is no file nowhere/network.safetensors" in output
