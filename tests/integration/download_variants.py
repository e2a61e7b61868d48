"""The variants of small simulated downloads, each with what it may cost."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import download_changes as change
import pandas
from download_changes import ISO, append, assign, both, drop, edit, empty, remove, rename, rewrite

#: Changes of a download's images folder and tables folder. What names begin with says which download is
#: changed: AIBL, ADNI with tables of 2026 (and ADNIMERGE), or else ADNI with those of before October 2024.
ACCEPTED = {
    "unchanged": change.nothing,
    # tables
    "dates in the names": change.name_tables("{stem}_22Nov2024.csv"),
    "prefix and dates": change.name_tables("All_Subjects_{stem}_2Nov2024.csv"),
    "a prefix of the user's own": change.name_tables("my_cohort_{stem}.csv"),
    "upper-case suffix": change.name_tables("{stem}.CSV"),
    "a browser's second copy": change.name_tables("{stem} (1).csv"),
    "tables in a subfolder": change.subfolder,
    "tables behind a link": change.linked_tables,
    "quoted, with BOM": rewrite(
        lambda text: (
            "\ufeff" + "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines())
        )
    ),
    "semicolons": change.replace(",", ";"),
    "spaces around cells": change.replace(",", " , "),
    "carriage returns": change.replace("\n", "\r\n"),
    "UTF-16": change.every_table(lambda path: path.write_text(path.read_text(), encoding="utf-16")),
    "American dates": change.american(padded=True),
    "American dates without zeros": change.american(padded=False),
    "dates with a time": rewrite(lambda text: ISO.sub(r"\g<0> 00:00:00", text)),
    "the day first": rewrite(lambda text: ISO.sub(r"\3/\2/\1", text)),
    "dates with points": rewrite(lambda text: ISO.sub(r"\3.\2.\1", text)),
    "decimal commas": rewrite(change.decimal_commas),
    "names as R writes them": rewrite(
        lambda text: re.sub("^.*", lambda line: re.sub("[ /]", ".", line[0]), text)
    ),
    "identifiers in lower case": change.replace("_S_", "_s_"),
    "numbers as decimals": both(
        *(assign("MPRAGEMETA", name, "{}.0".format) for name in ("ImageUID", "SeriesID", "StudyID"))
    ),
    "DXSUM": rename("DXSUM_PDXCONV_ADNIALL", "DXSUM_22Nov2024.csv"),
    "All_Subjects_DXSUM": rename("DXSUM_PDXCONV_ADNIALL", "All_Subjects_DXSUM_22Nov2024.csv"),
    "no visit twice in DXSUM": edit("DXSUM", lambda t: t.drop_duplicates(["PTID", "VISCODE2"])),
    "no DXSUM": remove("DXSUM"),
    "diagnoses as decimals": assign("DXSUM", "DIAGNOSIS", "{}.0".format),
    "an empty EXAMDATE": change.spoil_cell("ADNIMERGE", "EXAMDATE", 3, ""),
    "a strange EXAMDATE": change.spoil_cell("ADNIMERGE", "EXAMDATE", 3, "soon"),
    "a visit twice in ADNIMERGE": edit("ADNIMERGE", lambda t: pandas.concat([t, t[:3]])),
    "a visit code of a phase": append("ADNIMERGE", VISCODE="scmri"),
    "visit codes in upper case": assign("ADNIMERGE", "VISCODE", str.upper),
    "diagnoses in older words": assign(
        "ADNIMERGE", "DX", lambda cell: {"CN": "NL", "Dementia": "MCI to Dementia"}.get(cell, cell)
    ),
    "ADNIMERGE with few columns": edit(
        "ADNIMERGE", lambda t: t[["PTID", "VISCODE", "EXAMDATE", "AGE", "PTGENDER", "DX", "MMSE"]]
    ),
    "ADNIMERGE without DX": drop("ADNIMERGE", "DX"),
    "ADNIMERGE without ages": change.without_ages,
    "an older ADNIMERGE beside it": change.older_copy,
    "GENOTYPE 3/4": change.genotypes("/"),
    "GENOTYPE 34": change.genotypes(""),
    "no APOERES": remove("APOERES"),
    "header-only MRIQUALITY": empty("MRIQUALITY"),
    "MRIPROT": rename("MRIQUALITY", "MRIPROT_22Nov2024.csv"),
    "All_Subjects_MRIQC with the columns": rename("MRIQUALITY", "All_Subjects_MRIQC_22Nov2024.csv"),
    "All_Subjects_MRIQC without the columns": both(
        rename("MRIQUALITY", "All_Subjects_MRIQC_2Nov2024.csv"), drop("MRIQC", "PASS")
    ),
    "Mayo's table of 12_08_15": rename("MAYOADIRL", "MAYOADIRL_MRI_IMAGEQC_12_08_15.csv"),
    "Mayo's table, dated": rename("MAYOADIRL", "MAYOADIRL_MRI_IMAGEQC_05_07_15_22Nov2024.csv"),
    "Mayo's table in upper case": edit("MAYOADIRL", lambda t: t.rename(columns=str.upper)),
    "no table of Mayo's": remove("MAYOADIRL"),
    "nv and scmri in CDR": both(*(append("CDR", VISCODE2=code) for code in ("nv", "scmri", ""))),
    "an empty RID in CDR": append("CDR", RID=""),
    "two tables CDR": change.copy_table("CDR", "CDR_22Nov2024.csv"),
    "no CDR": remove("CDR"),
    "NEUROBAT without VISCODE2": change.further_table("NEUROBAT.csv", "RID,VISCODE\n1,bl\n"),
    "MOCA without VISCODE2": change.further_table("MOCA.csv", "RID,VISCODE,MOCA\n1,bl,20\n"),
    "ImageUID with I": assign("MPRAGEMETA", "ImageUID", "I{}".format),
    "a row without ImageUID": change.spoil_cell("MPRAGEMETA", "ImageUID", 0, ""),
    "Orig/Proc in lower case": assign("MPRAGEMETA", "Orig/Proc", str.lower),
    "MPRAGEMETA without Visit": drop("MPRAGEMETA", "Visit"),
    "field strengths with a unit": assign("MPRAGEMETA", "MagStrength", "{} T".format),
    "an ADNI Baseline alone": edit(
        "MPRAGEMETA", lambda t: t.replace({"Visit": {"ADNI Screening": "ADNI Baseline"}})
    ),
    "pre-processed rows alone": change.with_processed(on_disk=False),
    "pre-processed NIfTI": change.with_processed(on_disk=True),
    # lists of today in the place of MPRAGEMETA
    "All_Images and Manifest": change.modern_list("All_Images"),
    "Key_MRI": change.modern_list("Key_MRI"),
    "Structural_MRI_Images": change.modern_list("Structural_MRI_Images"),
    "the list of a collection": change.modern_list("IDA"),
    "no list of scans": remove("MPRAGEMETA"),
    "no list, no sessions of quality": remove("MPRAGEMETA", "MRIQUALITY"),
    "ADNI4 in tables and images": change.adni4,
    "ADNI4 in the images alone": change.adni4_folder,
    "a visit in ADNI4": change.adni4_visit,
    # images
    "S leaves": change.series_leaves,
    "S leaves, files without numbers": both(
        change.series_leaves, change.rename_files(change.without_numbers)
    ),
    "I leaves, files without numbers": change.rename_files(change.without_numbers),
    "I and S leaves of one series": change.two_leaves,
    "upper-case .DCM": change.rename_files(lambda name: name.replace(".dcm", ".DCM")),
    "no suffix": change.rename_files(lambda name: name.removesuffix(".dcm")),
    "clutter at the root": change.clutter(inside=False),
    "clutter among the images": change.clutter(inside=True),
    "XML named like images": change.xml_beside,
    "a root ADNI": change.deeper("ADNI"),
    "two roots above": change.deeper("download/ADNI"),
    "archives side by side": change.archives,
    "unpacked twice": change.twice,
    "archives left beside": change.unpacked_zip,
    "slices copied": change.copied_slices,
    "NIfTI": change.as_nifti(".nii"),
    "compressed NIfTI": change.as_nifti(".nii.gz"),
    "NIfTI, no list of scans": both(change.as_nifti(".nii"), remove("MPRAGEMETA")),
    "compressed sensing": change.compressed_sensing,
    "compressed sensing, no list of scans": both(change.compressed_sensing, remove("MPRAGEMETA")),
    "a broken first scan": change.broken_first_scan,
    "a scout": change.further_series("002_S_0001", 20_001, "AAHead_Scout_MPR_sag"),
    # tables of today
    "2026": change.nothing,
    "2026 with ADNIMERGE": change.nothing,
    "2026 without lists of scans": both(remove("All_Images", "Manifest"), change.no_collection),
    "2026 without MMSE": remove("MMSE"),
    "2026 without CDR": remove("CDR"),
    "2026, American dates": change.american(padded=False),
    "2026 with ADNIMERGE, American dates": change.american(padded=False),
    "2026, decimal commas": rewrite(change.decimal_commas),
    "2026, every line one cell": rewrite(
        lambda text: re.sub("(?m)^(.+)$", lambda line: '"' + line[1].replace('"', '""') + '";;', text)
    ),
    "2026, birth as Dec-34": assign("PTDEMOG", "PTDOB", lambda cell: "Dec-34"),
    "2026, a table exported twice": change.twice_exported,
    # AIBL
    "AIBL unchanged": change.nothing,
    "AIBL in Data_extract_3.3.0": change.subfolder,
    "AIBL, ISO dates": change.aibl_dates("{year}-{month}-{day}"),
    "AIBL, dates without zeros": change.aibl_dates("{m}/{d}/{year}"),
    "AIBL, decimal commas": rewrite(change.decimal_commas),
    "AIBL, decimal commas and dates with points": both(
        rewrite(change.decimal_commas), change.aibl_dates("{day}.{month}.{year}")
    ),
    "AIBL, semicolons": change.replace(",", ";"),
    "AIBL, newer tables": change.every_table(
        lambda path: path.rename(path.with_name(path.name.replace("01-Jun-2018", "28-Nov-2026")))
    ),
    "AIBL, birth with month": assign("ptdemog", "PTDOB", "03{}".format),
    "AIBL, birth with a day": assign("ptdemog", "PTDOB", "03/17{}".format),
    "AIBL, two rows for a participant": edit("ptdemog", lambda t: pandas.concat([t, t])),
    "AIBL without PET tables": remove("av45meta", "pibmeta", "flutemeta"),
    "AIBL without MMSE": remove("mmse"),
    "AIBL, S leaves": change.series_leaves,
    "AIBL, NIfTI": change.as_nifti(".nii"),
    "AIBL, upper-case .DCM": change.rename_files(lambda name: name.replace(".dcm", ".DCM")),
    "AIBL, a folder of notes": change.stray_folder("notes"),
    "AIBL, a padded number": change.stray_folder("0151083"),
    "AIBL below a root": change.deeper("AIBL"),
    "AIBL, folders in lower case": lambda images, tables: [
        path.rename(path.with_name(path.name.lower())) for path in images.glob("*/MPRAGE_ADNI*")
    ],
    "AIBL, an unknown sequence": change.further_series("10", 10_500, "ax_t1_mprage_new"),
    "AIBL, an undated kind with a later date": change.later_undated_kind,
}

#: What may be refused, before any work, with words of the message.
REFUSED = {
    "AIBL, no diagnosis in the table": (empty("pdxconv"), "has no row that can be read"),
    "AIBL without diagnoses": (remove("pdxconv"), "aibl_pdxconv_*.csv is missing"),
    "AIBL, images of another study": (change.other_names, "no folder with a participant's name"),
    "never unpacked": (change.zipped, "unzip -n -q"),
    "one archive not unpacked": (change.one_zip_left, "T1_2.zip were not unpacked"),
    "tables never unpacked": (change.zipped_tables, "Study_Info.zip were not unpacked"),
    "neither ADNIMERGE nor REGISTRY": (
        remove("ADNIMERGE"),
        "it cannot be derived: the table REGISTRY.csv is missing",
    ),
    "dates that are none": (
        assign("ADNIMERGE", "EXAMDATE", lambda cell: "day 17"),
        "EXAMDATE of ADNIMERGE.csv are no dates of which day and month are certain (line 2: day 17)",
    ),
    "2026, days and months in either order": (
        rewrite(
            lambda text: ISO.sub(
                lambda m: f"{m[3]}/{m[2]}/{m[1]}" if m[3] < "13" else f"{m[2]}/{m[3]}/{m[1]}",
                text.replace("2006-04-18", "18/04/2006"),
            )
        ),
        "are no dates of which day and month are certain (line 2: 18/04/2006, line ",
    ),
    "a stray quotation mark": (
        rewrite(lambda text: re.sub(r"\n", '\n"', text, count=1)),
        "ADNIMERGE.csv cannot be read: line 2: a quotation mark is not closed",
    ),
}

#: Columns of the image table that a variant takes the information for.
UNKNOWN = {
    "no CDR": ["cdr"],
    "2026 without CDR": ["cdr"],
    "2026 without MMSE": ["mmse"],
    "AIBL without MMSE": ["mmse"],
}


@dataclass(frozen=True)
class Variant:
    """A change of a download; words of the message where it is refused."""

    name: str
    change: Callable[[Path, Path], object]
    refusal: str = ""

    @property
    def cohort(self):
        return "AIBL" if self.name.startswith("AIBL") else "ADNI"

    @property
    def generation(self):
        return 2026 if self.name.startswith("2026") else 2018

    @property
    def merge(self):
        """Whether the tables of 2026 have an ADNIMERGE."""
        return self.name.startswith("2026 with ADNIMERGE")


VARIANTS = {name: Variant(name, made) for name, made in ACCEPTED.items()}
VARIANTS |= {name: Variant(name, made, words) for name, (made, words) in REFUSED.items()}
