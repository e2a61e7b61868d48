"""What is read from the record of the tables is what the conversion wrote into it."""

import pytest

from rhvae_mri.convert.adni_tables import read_adni_tables
from rhvae_mri.convert.aibl_tables import read_aibl_tables
from rhvae_mri.convert.study_tables import Ledger
from rhvae_mri.io.files import write_tsv
from rhvae_mri.provenance.tables import DownloadFacts, read_download_facts
from rhvae_mri.simulate import adni, adni_today, aibl
from rhvae_mri.simulate.adni_today import rename_sequences
from rhvae_mri.simulate.participants import GROUPS, draw_cohort

GROUP_SIZES = dict.fromkeys(GROUPS, 1)


@pytest.fixture
def facts_of(tmp_path):
    """Read the facts of a simulated download, of which some tables are left out."""

    def read(cohort, tables, *left_out):
        folder, images, record = (tmp_path / name for name in ("tables", "images", "tables.tsv"))
        folder.mkdir()
        images.mkdir()
        for name, table in tables.items():
            if not any(part in name for part in left_out):
                table.to_csv(folder / name, index=False)
        ledger = Ledger()
        if cohort == "ADNI":
            read_adni_tables(folder, images, ledger)
        else:
            read_aibl_tables(folder, ledger)
        assert ledger.problems == []
        write_tsv(record, ledger.table())
        (facts,) = read_download_facts([cohort], [record])
        return facts

    return read


@pytest.fixture(scope="module")
def adni_participants():
    return rename_sequences(draw_cohort("ADNI", GROUP_SIZES, 4.0, 7))


def with_merge(participants):
    merge = adni.study_tables(participants, 5)["ADNIMERGE.csv"]
    return adni_today.study_tables(participants, 5) | {"ADNIMERGE.csv": merge}


def test_tables_of_today_have_no_adnimerge(facts_of, adni_participants):
    facts = facts_of("ADNI", adni_today.study_tables(adni_participants, 5))
    assert facts == DownloadFacts("ADNI", derived=True, diagnoses_from_dxsum=True)


def test_an_adnimerge_of_the_download_is_no_gap(facts_of, adni_participants):
    assert facts_of("ADNI", with_merge(adni_participants)) == DownloadFacts("ADNI")


def test_an_adnimerge_without_diagnoses_has_those_of_dxsum(facts_of, adni_participants):
    tables = with_merge(adni_participants)
    tables["ADNIMERGE.csv"] = tables["ADNIMERGE.csv"].drop(columns="DX")
    assert facts_of("ADNI", tables) == DownloadFacts("ADNI", diagnoses_from_dxsum=True)


def test_tables_that_are_not_there_are_named_with_what_follows(facts_of, adni_participants):
    tables = adni_today.study_tables(adni_participants, 5)
    facts = facts_of("ADNI", tables, "All_Images", "Manifest", "MRIPROT", "MAYOADIRL", "CDR")
    assert facts.derived
    consequences = dict(facts.absent)
    assert list(consequences) == ["MPRAGEMETA", "CDR", "MRIQUALITY", "MAYOADIRL_MRI_IMAGEQC_05_07_15"]
    assert "DICOM headers alone" in consequences["MPRAGEMETA"]
    assert "not told from good ones" in consequences["MRIQUALITY"]


def test_aibl(facts_of):
    tables = aibl.study_tables(draw_cohort("AIBL", GROUP_SIZES, 4.0, 7))
    assert facts_of("AIBL", tables, "aibl_mmse").absent == (("aibl_mmse", "the MMSE is not known"),)
