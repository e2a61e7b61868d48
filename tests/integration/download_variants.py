"""The variants of small simulated downloads, each with what it may cost."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import image_changes as image
import pandas
import table_changes as table

#: Changes of a download's images folder and tables folder. What names begin with says which download is
#: changed: AIBL, ADNI with tables of 2026 (and ADNIMERGE), or else ADNI with those of before October 2024.
ACCEPTED = {
    "unchanged": table.nothing,
    # tables
    "dates in the names": table.name_tables("{stem}_22Nov2024.csv"),
    "prefix and dates": table.name_tables("All_Subjects_{stem}_2Nov2024.csv"),
    "a prefix of the user's own": table.name_tables("my_cohort_{stem}.csv"),
    "upper-case suffix": table.name_tables("{stem}.CSV"),
    "a browser's second copy": table.name_tables("{stem} (1).csv"),
    "tables in a subfolder": table.move_tables,
    "tables behind a link": table.linked_tables,
    "quoted, with BOM": table.rewrite(
        lambda text: (
            "\ufeff" + "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines())
        )
    ),
    "semicolons": table.replace(",", ";"),
    "spaces around cells": table.replace(",", " , "),
    "carriage returns": table.replace("\n", "\r\n"),
    "UTF-16": table.every_table(lambda path: path.write_text(path.read_text(), encoding="utf-16")),
    "American dates": table.dates("{m}/{d}/{y}"),
    "American dates without zeros": table.dates("{M}/{D}/{y}"),
    "dates with a time": table.dates("{y}-{m}-{d} 00:00:00"),
    "the day first": table.dates("{d}/{m}/{y}"),
    "dates with points": table.dates("{d}.{m}.{y}"),
    "decimal commas": table.rewrite(table.decimal_commas),
    "names as R writes them": table.rewrite(
        lambda text: re.sub("^.*", lambda line: re.sub("[ /]", ".", line[0]), text)
    ),
    "identifiers in lower case": table.replace("_S_", "_s_"),
    "numbers as decimals": table.both(
        *(table.assign("MPRAGEMETA", name, "{}.0".format) for name in ("ImageUID", "SeriesID", "StudyID"))
    ),
    "DXSUM": table.rename("DXSUM_PDXCONV_ADNIALL", "DXSUM_22Nov2024.csv"),
    "All_Subjects_DXSUM": table.rename("DXSUM_PDXCONV_ADNIALL", "All_Subjects_DXSUM_22Nov2024.csv"),
    "no visit twice in DXSUM": table.edit("DXSUM", lambda t: t.drop_duplicates(["PTID", "VISCODE2"])),
    "no DXSUM": table.remove("DXSUM"),
    "diagnoses as decimals": table.assign("DXSUM", "DIAGNOSIS", "{}.0".format),
    "an empty EXAMDATE": table.spoil_cell("ADNIMERGE", "EXAMDATE", 3, ""),
    "a strange EXAMDATE": table.spoil_cell("ADNIMERGE", "EXAMDATE", 3, "soon"),
    "a visit twice in ADNIMERGE": table.edit("ADNIMERGE", lambda t: pandas.concat([t, t[:3]])),
    "a visit code of a phase": table.append("ADNIMERGE", VISCODE="scmri"),
    "visit codes in upper case": table.assign("ADNIMERGE", "VISCODE", str.upper),
    "diagnoses in older words": table.assign(
        "ADNIMERGE", "DX", lambda cell: {"CN": "NL", "Dementia": "MCI to Dementia"}.get(cell, cell)
    ),
    "ADNIMERGE with few columns": table.edit(
        "ADNIMERGE", lambda t: t[["PTID", "VISCODE", "EXAMDATE", "AGE", "PTGENDER", "DX", "MMSE"]]
    ),
    "ADNIMERGE without DX": table.drop("ADNIMERGE", "DX"),
    "ADNIMERGE without ages": table.without_ages,
    "an older ADNIMERGE beside it": table.older_copy,
    "GENOTYPE 3/4": table.genotypes("/"),
    "GENOTYPE 34": table.genotypes(""),
    "no APOERES": table.remove("APOERES"),
    "header-only MRIQUALITY": table.empty("MRIQUALITY"),
    "MRIPROT": table.rename("MRIQUALITY", "MRIPROT_22Nov2024.csv"),
    "All_Subjects_MRIQC with the columns": table.rename("MRIQUALITY", "All_Subjects_MRIQC_22Nov2024.csv"),
    "All_Subjects_MRIQC without the columns": table.both(
        table.rename("MRIQUALITY", "All_Subjects_MRIQC_2Nov2024.csv"), table.drop("MRIQC", "PASS")
    ),
    "Mayo's table of 12_08_15": table.rename("MAYOADIRL", "MAYOADIRL_MRI_IMAGEQC_12_08_15.csv"),
    "Mayo's table, dated": table.rename("MAYOADIRL", "MAYOADIRL_MRI_IMAGEQC_05_07_15_22Nov2024.csv"),
    "Mayo's table in upper case": table.edit("MAYOADIRL", lambda t: t.rename(columns=str.upper)),
    "no table of Mayo's": table.remove("MAYOADIRL"),
    "nv and scmri in CDR": table.both(*(table.append("CDR", VISCODE2=code) for code in ("nv", "scmri", ""))),
    "an empty RID in CDR": table.append("CDR", RID=""),
    "two tables CDR": table.copy_table("CDR", "CDR_22Nov2024.csv"),
    "no CDR": table.remove("CDR"),
    "NEUROBAT without VISCODE2": table.further_table("NEUROBAT.csv", "RID,VISCODE\n1,bl\n"),
    "MOCA without VISCODE2": table.further_table("MOCA.csv", "RID,VISCODE,MOCA\n1,bl,20\n"),
    "ImageUID with I": table.assign("MPRAGEMETA", "ImageUID", "I{}".format),
    "a row without ImageUID": table.spoil_cell("MPRAGEMETA", "ImageUID", 0, ""),
    "Orig/Proc in lower case": table.assign("MPRAGEMETA", "Orig/Proc", str.lower),
    "MPRAGEMETA without Visit": table.drop("MPRAGEMETA", "Visit"),
    "field strengths with a unit": table.assign("MPRAGEMETA", "MagStrength", "{} T".format),
    "an ADNI Baseline alone": table.edit(
        "MPRAGEMETA", lambda t: t.replace({"Visit": {"ADNI Screening": "ADNI Baseline"}})
    ),
    "pre-processed rows alone": image.with_processed(on_disk=False),
    "pre-processed NIfTI": image.with_processed(on_disk=True),
    # lists of today in the place of MPRAGEMETA
    "All_Images and Manifest": table.modern_list("All_Images"),
    "Key_MRI": table.modern_list("Key_MRI"),
    "Structural_MRI_Images": table.modern_list("Structural_MRI_Images"),
    "the list of a collection": table.modern_list("IDA"),
    "no list of scans": table.remove("MPRAGEMETA"),
    "no list, no sessions of quality": table.remove("MPRAGEMETA", "MRIQUALITY"),
    "ADNI4 in tables and images": image.adni4,
    "ADNI4 in the images alone": image.adni4_folder,
    "a visit in ADNI4": image.adni4_visit,
    # images
    "S leaves": image.series_leaves,
    "S leaves, files without numbers": table.both(
        image.series_leaves, image.rename_files(image.without_numbers)
    ),
    "I leaves, files without numbers": image.rename_files(image.without_numbers),
    "I and S leaves of one series": image.two_leaves,
    "upper-case .DCM": image.rename_files(lambda name: name.replace(".dcm", ".DCM")),
    "no suffix": image.rename_files(lambda name: name.removesuffix(".dcm")),
    "clutter at the root": image.clutter(inside=False),
    "clutter among the images": image.clutter(inside=True),
    "XML named like images": image.xml_beside,
    "a root ADNI": image.deeper("ADNI"),
    "two roots above": image.deeper("download/ADNI"),
    "archives side by side": image.archives,
    "unpacked twice": image.twice,
    "archives left beside": image.unpacked_zip,
    "slices copied": image.copied_slices,
    "NIfTI": image.as_nifti(".nii"),
    "compressed NIfTI": image.as_nifti(".nii.gz"),
    "NIfTI, no list of scans": table.both(image.as_nifti(".nii"), table.remove("MPRAGEMETA")),
    "compressed sensing": image.compressed_sensing,
    "compressed sensing, no list of scans": table.both(image.compressed_sensing, table.remove("MPRAGEMETA")),
    "a broken first scan": image.broken_first_scan,
    "a scout": image.further_series("002_S_0001", 20_001, "AAHead_Scout_MPR_sag"),
    # tables of today
    "2026": table.nothing,
    "2026 with ADNIMERGE": table.nothing,
    "2026 without lists of scans": table.both(table.remove("All_Images", "Manifest"), image.no_collection),
    "2026 without MMSE": table.remove("MMSE"),
    "2026 without CDR": table.remove("CDR"),
    "2026, American dates": table.dates("{M}/{D}/{y}"),
    "2026 with ADNIMERGE, American dates": table.dates("{M}/{D}/{y}"),
    "2026, decimal commas": table.rewrite(table.decimal_commas),
    "2026, every line one cell": table.rewrite(
        lambda text: re.sub("(?m)^(.+)$", lambda line: '"' + line[1].replace('"', '""') + '";;', text)
    ),
    "2026, birth as Dec-34": table.assign("PTDEMOG", "PTDOB", lambda cell: "Dec-34"),
    "2026, a table exported twice": table.twice_exported,
    # AIBL
    "AIBL unchanged": table.nothing,
    "AIBL in Data_extract_3.3.0": table.move_tables,
    "AIBL, ISO dates": table.dates("{y}-{m}-{d}", table.AMERICAN),
    "AIBL, dates without zeros": table.dates("{M}/{D}/{y}", table.AMERICAN),
    "AIBL, decimal commas": table.rewrite(table.decimal_commas),
    "AIBL, decimal commas and dates with points": table.both(
        table.rewrite(table.decimal_commas), table.dates("{d}.{m}.{y}", table.AMERICAN)
    ),
    "AIBL, semicolons": table.replace(",", ";"),
    "AIBL, newer tables": table.every_table(
        lambda path: path.rename(path.with_name(path.name.replace("01-Jun-2018", "28-Nov-2026")))
    ),
    "AIBL, birth with month": table.assign("ptdemog", "PTDOB", "03{}".format),
    "AIBL, birth with a day": table.assign("ptdemog", "PTDOB", "03/17{}".format),
    "AIBL, two rows for a participant": table.edit("ptdemog", lambda t: pandas.concat([t, t])),
    "AIBL without PET tables": table.remove("av45meta", "pibmeta", "flutemeta"),
    "AIBL without MMSE": table.remove("mmse"),
    "AIBL, S leaves": image.series_leaves,
    "AIBL, NIfTI": image.as_nifti(".nii"),
    "AIBL, upper-case .DCM": image.rename_files(lambda name: name.replace(".dcm", ".DCM")),
    "AIBL, a folder of notes": image.stray_folder("notes"),
    "AIBL, a padded number": image.stray_folder("0151083"),
    "AIBL below a root": image.deeper("AIBL"),
    "AIBL, folders in lower case": lambda images, tables: [
        path.rename(path.with_name(path.name.lower())) for path in images.glob("*/MPRAGE_ADNI*")
    ],
    "AIBL, an unknown sequence": image.further_series("10", 10_500, "ax_t1_mprage_new"),
    "AIBL, an undated kind with a later date": image.later_undated_kind,
}

#: What may be refused, before any work, with words of the message.
REFUSED = {
    "AIBL, no diagnosis in the table": (table.empty("pdxconv"), "has no row that can be read"),
    "AIBL without diagnoses": (table.remove("pdxconv"), "aibl_pdxconv_*.csv is missing"),
    "AIBL, images of another study": (image.other_names, "no folder with a participant's name"),
    "never unpacked": (image.zipped, "unzip -n -q"),
    "one archive not unpacked": (image.one_zip_left, "T1_2.zip were not unpacked"),
    "tables never unpacked": (image.zipped_tables, "Study_Info.zip were not unpacked"),
    "neither ADNIMERGE nor REGISTRY": (
        table.remove("ADNIMERGE"),
        "it cannot be derived: the table REGISTRY.csv is missing",
    ),
    "dates that are none": (
        table.assign("ADNIMERGE", "EXAMDATE", lambda cell: "day 17"),
        "EXAMDATE of ADNIMERGE.csv are no dates of which day and month are certain (line 2: day 17)",
    ),
    "2026, days and months in either order": (
        table.rewrite(
            lambda text: table.ISO.sub(
                lambda m: f"{m[3]}/{m[2]}/{m[1]}" if m[3] < "13" else f"{m[2]}/{m[3]}/{m[1]}",
                text.replace("2006-04-18", "18/04/2006"),
            )
        ),
        "are no dates of which day and month are certain (line 2: 18/04/2006, line ",
    ),
    "a stray quotation mark": (
        table.rewrite(lambda text: re.sub(r"\n", '\n"', text, count=1)),
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
