"""The variants of small simulated downloads, each with what it may cost."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas
from download_changes import (
    ISO,
    adni4,
    adni4_folder,
    adni4_visit,
    aibl_dates,
    american,
    append,
    archives,
    as_nifti,
    assign,
    both,
    broken_first_scan,
    clutter,
    compressed_sensing,
    copied_slices,
    copy_table,
    decimal_commas,
    deeper,
    edit,
    every_table,
    further_series,
    genotypes,
    later_undated_kind,
    linked_tables,
    modern_list,
    no_collection,
    nothing,
    older_copy,
    one_zip_left,
    other_names,
    remove,
    rename,
    rename_files,
    rewrite,
    series_leaves,
    shadow_table,
    spoil_cell,
    stray_folder,
    subfolder,
    twice,
    twice_exported,
    two_leaves,
    unpacked_zip,
    with_processed,
    without_ages,
    xml_beside,
    zipped,
    zipped_tables,
)


@dataclass(frozen=True)
class Variant:
    """A change of a download.

    Attributes
    ----------
    cohort : str
        ``ADNI`` or ``AIBL``.
    change : callable
        Changes the images folder and the tables folder that it gets.
    generation : int
        Of the tables that are changed.
    merge : bool
        Whether the tables of 2026 have an ADNIMERGE.
    unknown : tuple of str
        Columns of the image table that the variant takes the information for.
    fates : dict
        Images whose status the variant really changes, with the new status.
    refusal : str
        Where the download is refused: words of the message.
    """

    cohort: str
    change: Callable[[Path, Path], None]
    generation: int = 2018
    merge: bool = False
    unknown: tuple[str, ...] = ()
    fates: dict[str, str] | None = None
    refusal: str = ""


VARIANTS = {
    # tables of before October 2024
    "unchanged": Variant("ADNI", nothing),
    "dates in the names": Variant(
        "ADNI", every_table(lambda p: p.rename(p.with_name(f"{p.stem}_22Nov2024.csv")))
    ),
    "prefix and dates": Variant(
        "ADNI", every_table(lambda p: p.rename(p.with_name(f"All_Subjects_{p.stem}_2Nov2024.csv")))
    ),
    "a prefix of the user's own": Variant(
        "ADNI", every_table(lambda p: p.rename(p.with_name(f"my_cohort_{p.name}")))
    ),
    "tables in a subfolder": Variant("ADNI", subfolder),
    "upper-case suffix": Variant("ADNI", every_table(lambda p: p.rename(p.with_suffix(".CSV")))),
    "a browser's second copy": Variant(
        "ADNI", every_table(lambda p: p.rename(p.with_name(f"{p.stem} (1).csv")))
    ),
    "quoted, with BOM": Variant(
        "ADNI",
        rewrite(
            lambda text: (
                "\ufeff"
                + "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines())
            )
        ),
    ),
    "semicolons": Variant("ADNI", rewrite(lambda text: text.replace(",", ";"))),
    "spaces around cells": Variant("ADNI", rewrite(lambda text: text.replace(",", " , "))),
    "carriage returns": Variant("ADNI", rewrite(lambda text: text.replace("\n", "\r\n"))),
    "American dates": Variant("ADNI", american(padded=True)),
    "American dates without zeros": Variant("ADNI", american(padded=False)),
    "dates with a time": Variant("ADNI", rewrite(lambda text: ISO.sub(r"\g<0> 00:00:00", text))),
    "numbers as decimals": Variant(
        "ADNI",
        assign(
            "MPRAGEMETA", ImageUID=lambda c: f"{c}.0", SeriesID=lambda c: f"{c}.0", StudyID=lambda c: f"{c}.0"
        ),
    ),
    "DXSUM": Variant("ADNI", rename(DXSUM_PDXCONV_ADNIALL="DXSUM_22Nov2024.csv")),
    "All_Subjects_DXSUM": Variant("ADNI", rename(DXSUM_PDXCONV_ADNIALL="All_Subjects_DXSUM_22Nov2024.csv")),
    "no visit twice in DXSUM": Variant(
        "ADNI", edit("DXSUM", lambda t: t.drop_duplicates(["PTID", "VISCODE2"]))
    ),
    "no DXSUM": Variant("ADNI", remove("DXSUM")),
    "diagnoses as decimals": Variant("ADNI", assign("DXSUM", DIAGNOSIS=lambda c: f"{c}.0")),
    "an empty EXAMDATE": Variant("ADNI", spoil_cell("ADNIMERGE", "EXAMDATE", 3, "")),
    "a strange EXAMDATE": Variant("ADNI", spoil_cell("ADNIMERGE", "EXAMDATE", 3, "soon")),
    "a visit twice in ADNIMERGE": Variant("ADNI", edit("ADNIMERGE", lambda t: pandas.concat([t, t[:3]]))),
    "a visit code of a phase": Variant("ADNI", append("ADNIMERGE", VISCODE="scmri")),
    "visit codes in upper case": Variant("ADNI", assign("ADNIMERGE", VISCODE=str.upper)),
    "diagnoses in older words": Variant(
        "ADNI", assign("ADNIMERGE", DX=lambda c: {"CN": "NL", "Dementia": "MCI to Dementia"}.get(c, c))
    ),
    "ADNIMERGE with few columns": Variant(
        "ADNI",
        edit("ADNIMERGE", lambda t: t[["PTID", "VISCODE", "EXAMDATE", "AGE", "PTGENDER", "DX", "MMSE"]]),
    ),
    "an older ADNIMERGE beside it": Variant("ADNI", older_copy),
    "GENOTYPE 3/4": Variant("ADNI", genotypes("/")),
    "GENOTYPE 34": Variant("ADNI", genotypes("")),
    "no APOERES": Variant("ADNI", remove("APOERES")),
    "header-only MRIQUALITY": Variant("ADNI", edit("MRIQUALITY", lambda t: t[:0])),
    "MRIPROT": Variant("ADNI", rename(MRIQUALITY="MRIPROT_22Nov2024.csv")),
    "All_Subjects_MRIQC with the columns": Variant(
        "ADNI", rename(MRIQUALITY="All_Subjects_MRIQC_22Nov2024.csv")
    ),
    "All_Subjects_MRIQC without the columns": Variant(
        "ADNI",
        both(
            rename(MRIQUALITY="All_Subjects_MRIQC_2Nov2024.csv"),
            edit("MRIQC", lambda t: t.drop(columns="PASS")),
        ),
    ),
    "Mayo's table of 12_08_15": Variant("ADNI", rename(MAYOADIRL="MAYOADIRL_MRI_IMAGEQC_12_08_15.csv")),
    "Mayo's table, dated": Variant("ADNI", rename(MAYOADIRL="MAYOADIRL_MRI_IMAGEQC_05_07_15_22Nov2024.csv")),
    "Mayo's table in upper case": Variant("ADNI", edit("MAYOADIRL", lambda t: t.rename(columns=str.upper))),
    "no table of Mayo's": Variant("ADNI", remove("MAYOADIRL"), fates={"sub-ADNI014S6008_ses-M000": "kept"}),
    "nv and scmri in CDR": Variant(
        "ADNI",
        both(append("CDR", VISCODE2="nv"), append("CDR", VISCODE2="scmri"), append("CDR", VISCODE2="")),
    ),
    "an empty RID in CDR": Variant("ADNI", append("CDR", RID="")),
    "two tables CDR": Variant("ADNI", copy_table("CDR", "CDR_22Nov2024.csv")),
    "no CDR": Variant("ADNI", remove("CDR"), unknown=("cdr",)),
    "NEUROBAT without VISCODE2": Variant("ADNI", shadow_table("NEUROBAT.csv", "RID,VISCODE\n1,bl\n")),
    "MOCA without VISCODE2": Variant("ADNI", shadow_table("MOCA.csv", "RID,VISCODE,MOCA\n1,bl,20\n")),
    "ImageUID with I": Variant("ADNI", assign("MPRAGEMETA", ImageUID=lambda c: f"I{c}")),
    "a row without ImageUID": Variant("ADNI", spoil_cell("MPRAGEMETA", "ImageUID", 0, "")),
    "Orig/Proc in lower case": Variant("ADNI", assign("MPRAGEMETA", Orig__Proc=str.lower)),
    "MPRAGEMETA without Visit": Variant("ADNI", edit("MPRAGEMETA", lambda t: t.drop(columns="Visit"))),
    "pre-processed rows alone": Variant("ADNI", with_processed(on_disk=False)),
    "pre-processed NIfTI": Variant("ADNI", with_processed(on_disk=True)),
    # lists of today in the place of MPRAGEMETA
    "All_Images and Manifest": Variant("ADNI", modern_list("All_Images")),
    "Key_MRI": Variant("ADNI", modern_list("Key_MRI")),
    "Structural_MRI_Images": Variant("ADNI", modern_list("Structural_MRI_Images")),
    "the list of a collection": Variant("ADNI", modern_list("IDA")),
    "no list of scans": Variant("ADNI", remove("MPRAGEMETA")),
    "no list, no sessions of quality": Variant("ADNI", both(remove("MPRAGEMETA"), remove("MRIQUALITY"))),
    # ADNI4
    "ADNI4 in tables and images": Variant("ADNI", adni4),
    "ADNI4 in the images alone": Variant("ADNI", adni4_folder),
    "a visit in ADNI4": Variant("ADNI", adni4_visit),
    # images
    "S leaves": Variant("ADNI", series_leaves),
    "S leaves, files without numbers": Variant(
        "ADNI", both(series_leaves, rename_files(lambda n: re.sub(r"_S\d+_I\d+", "", n)))
    ),
    "I leaves, files without numbers": Variant("ADNI", rename_files(lambda n: re.sub(r"_S\d+_I\d+", "", n))),
    "upper-case .DCM": Variant("ADNI", rename_files(lambda n: n.replace(".dcm", ".DCM"))),
    "no suffix": Variant("ADNI", rename_files(lambda n: n.removesuffix(".dcm"))),
    "clutter at the root": Variant("ADNI", clutter(inside=False)),
    "clutter among the images": Variant("ADNI", clutter(inside=True)),
    "XML named like images": Variant("ADNI", xml_beside),
    "a root ADNI": Variant("ADNI", deeper("ADNI")),
    "two roots above": Variant("ADNI", deeper("download/ADNI")),
    "archives side by side": Variant("ADNI", archives),
    "unpacked twice": Variant("ADNI", twice),
    "archives left beside": Variant("ADNI", unpacked_zip),
    "NIfTI": Variant("ADNI", as_nifti(".nii")),
    "compressed NIfTI": Variant("ADNI", as_nifti(".nii.gz")),
    "NIfTI, no list of scans": Variant("ADNI", both(as_nifti(".nii"), remove("MPRAGEMETA"))),
    "compressed sensing": Variant("ADNI", compressed_sensing),
    "compressed sensing, no list of scans": Variant("ADNI", both(compressed_sensing, remove("MPRAGEMETA"))),
    "a broken first scan": Variant("ADNI", broken_first_scan),
    # tables of today
    "2026": Variant("ADNI", nothing, generation=2026),
    "2026 with ADNIMERGE": Variant("ADNI", nothing, generation=2026, merge=True),
    "2026 without lists of scans": Variant(
        "ADNI", both(remove("All_Images", "Manifest"), no_collection), generation=2026
    ),
    "2026 without MMSE": Variant("ADNI", remove("MMSE"), generation=2026, unknown=("mmse",)),
    "2026 without CDR": Variant("ADNI", remove("CDR"), generation=2026, unknown=("cdr",)),
    "2026, American dates": Variant("ADNI", american(padded=False), generation=2026),
    "2026 with ADNIMERGE, American dates": Variant(
        "ADNI", american(padded=False), generation=2026, merge=True
    ),
    # AIBL
    "AIBL unchanged": Variant("AIBL", nothing),
    "AIBL in Data_extract_3.3.0": Variant("AIBL", subfolder),
    "AIBL, ISO dates": Variant("AIBL", aibl_dates("{year}-{month}-{day}")),
    "AIBL, dates without zeros": Variant("AIBL", aibl_dates("{m}/{d}/{year}")),
    "AIBL, newer tables": Variant(
        "AIBL", every_table(lambda p: p.rename(p.with_name(p.name.replace("01-Jun-2018", "28-Nov-2026"))))
    ),
    "AIBL, birth with month": Variant("AIBL", assign("ptdemog", PTDOB=lambda c: f"03{c}")),
    "AIBL, birth with a day": Variant("AIBL", assign("ptdemog", PTDOB=lambda c: f"03/17{c}")),
    "AIBL, S leaves": Variant("AIBL", series_leaves),
    "AIBL, NIfTI": Variant("AIBL", as_nifti(".nii")),
    "AIBL, upper-case .DCM": Variant("AIBL", rename_files(lambda n: n.replace(".dcm", ".DCM"))),
    "AIBL without PET tables": Variant("AIBL", remove("av45meta", "pibmeta", "flutemeta")),
    "AIBL without MMSE": Variant("AIBL", remove("mmse"), unknown=("mmse",)),
    "AIBL, a folder of notes": Variant("AIBL", stray_folder("notes")),
    "AIBL, a padded number": Variant("AIBL", stray_folder("0151083")),
    "AIBL below a root": Variant("AIBL", deeper("AIBL")),
    "AIBL, an unknown sequence": Variant("AIBL", further_series("10", 10_500, "ax_t1_mprage_new")),
    "AIBL, semicolons": Variant("AIBL", rewrite(lambda text: text.replace(",", ";"))),
    "ADNIMERGE without DX": Variant("ADNI", edit("ADNIMERGE", lambda t: t.drop(columns="DX"))),
    "UTF-16": Variant("ADNI", every_table(lambda p: p.write_text(p.read_text(), encoding="utf-16"))),
    "an ADNI Baseline alone": Variant(
        "ADNI",
        edit("MPRAGEMETA", lambda t: t.replace({"Visit": {"ADNI Screening": "ADNI Baseline"}})),
    ),
    # what spreadsheets, browsers and file managers make of a download
    "decimal commas": Variant("ADNI", rewrite(decimal_commas)),
    "AIBL, decimal commas": Variant("AIBL", rewrite(decimal_commas)),
    "2026, decimal commas": Variant("ADNI", rewrite(decimal_commas), generation=2026),
    "2026, every line one cell": Variant(
        "ADNI",
        rewrite(lambda text: re.sub("(?m)^(.+)$", lambda m: '"' + m[1].replace('"', '""') + '";;', text)),
        generation=2026,
    ),
    "names as R writes them": Variant(
        "ADNI", rewrite(lambda text: re.sub("^.*", lambda m: re.sub("[ /]", ".", m[0]), text))
    ),
    "the day first": Variant("ADNI", rewrite(lambda text: ISO.sub(r"\3/\2/\1", text))),
    "AIBL, decimal commas and dates with points": Variant(
        "AIBL", both(rewrite(decimal_commas), aibl_dates("{day}.{month}.{year}"))
    ),
    "dates with points": Variant("ADNI", rewrite(lambda text: ISO.sub(r"\3.\2.\1", text))),
    "identifiers in lower case": Variant("ADNI", rewrite(lambda text: text.replace("_S_", "_s_"))),
    "field strengths with a unit": Variant("ADNI", assign("MPRAGEMETA", MagStrength=lambda c: f"{c} T")),
    "2026, birth as Dec-34": Variant("ADNI", assign("PTDEMOG", PTDOB=lambda c: "Dec-34"), generation=2026),
    "ADNIMERGE without ages": Variant("ADNI", without_ages),
    "slices copied": Variant("ADNI", copied_slices),
    "I and S leaves of one series": Variant("ADNI", two_leaves),
    "a scout": Variant("ADNI", further_series("002_S_0001", 20_001, "AAHead_Scout_MPR_sag")),
    "tables behind a link": Variant("ADNI", linked_tables),
    "2026, a table exported twice": Variant("ADNI", twice_exported, generation=2026),
    "AIBL, two rows for a participant": Variant("AIBL", edit("ptdemog", lambda t: pandas.concat([t, t]))),
    "AIBL, folders in lower case": Variant(
        "AIBL",
        lambda images, tables: [
            path.rename(path.with_name(path.name.lower())) for path in images.glob("*/MPRAGE_ADNI*")
        ],
    ),
    "AIBL, an undated kind with a later date": Variant("AIBL", later_undated_kind),
    # what may be refused, before any work
    "AIBL, no diagnosis in the table": Variant(
        "AIBL", edit("pdxconv", lambda t: t[:0]), refusal="has no row that can be read"
    ),
    "never unpacked": Variant("ADNI", zipped, refusal="unzip -n -q"),
    "one archive not unpacked": Variant("ADNI", one_zip_left, refusal="T1_2.zip were not unpacked"),
    "tables never unpacked": Variant("ADNI", zipped_tables, refusal="Study_Info.zip were not unpacked"),
    "neither ADNIMERGE nor REGISTRY": Variant(
        "ADNI",
        remove("ADNIMERGE"),
        refusal="it cannot be derived: the table REGISTRY.csv is missing",
    ),
    "dates that are none": Variant(
        "ADNI",
        assign("ADNIMERGE", EXAMDATE=lambda c: "day 17"),
        refusal="EXAMDATE of ADNIMERGE.csv are no dates of which day and month are certain (line 2: day 17)",
    ),
    "2026, days and months in either order": Variant(
        "ADNI",
        rewrite(
            lambda text: ISO.sub(
                lambda m: f"{m[3]}/{m[2]}/{m[1]}" if m[3] < "13" else f"{m[2]}/{m[3]}/{m[1]}",
                text.replace("2006-04-18", "18/04/2006"),
            )
        ),
        generation=2026,
        refusal="are no dates of which day and month are certain (line 2: 18/04/2006, line ",
    ),
    "a stray quotation mark": Variant(
        "ADNI",
        rewrite(lambda text: re.sub(r"\n", '\n"', text, count=1)),
        refusal="ADNIMERGE.csv cannot be read: line 2: a quotation mark is not closed",
    ),
    "AIBL without diagnoses": Variant("AIBL", remove("pdxconv"), refusal="aibl_pdxconv_*.csv is missing"),
    "images of another study": Variant("AIBL", other_names, refusal="no folder with a participant's name"),
}
