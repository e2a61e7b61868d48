"""What happens to the tables of downloads on their way to a user: names, forms, generations.

A change is a function of the images folder and the tables folder.
"""

import csv
import io
import re
import shutil

import pandas

ISO = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
AMERICAN = re.compile(r"\b(\d\d)/(\d\d)/(\d{4})\b")


def nothing(images, tables):
    """Leave the download as it is."""


def both(*changes):
    return lambda images, tables: [change(images, tables) for change in changes]


def find(tables, name):
    """The file of a table, whatever is around its name."""
    return next(path for path in tables.rglob("*.csv") if name in path.name)


def edit(name, change):
    def run(images, tables):
        path = find(tables, name)
        change(pandas.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)

    return run


def assign(name, column, change):
    return edit(name, lambda table: table.assign(**{column: table[column].map(change)}))


def append(name, **cells):
    """Add a row that is the last one but for some cells."""
    return edit(name, lambda table: pandas.concat([table, table.iloc[[-1]].assign(**cells)]))


def drop(name, column):
    return edit(name, lambda table: table.drop(columns=column))


def empty(name):
    return edit(name, lambda table: table[:0])


def spoil_cell(name, column, row, text):
    return edit(name, lambda table: table.assign(**{column: table[column].where(table.index != row, text)}))


def genotypes(between):
    """Give both alleles in one column."""

    def change(table):
        pairs = table["APGEN1"] + between + table["APGEN2"]
        return table.drop(columns=["APGEN1", "APGEN2"]).assign(GENOTYPE=pairs)

    return edit("APOERES", change)


def rename(old, new):
    return lambda images, tables: find(tables, old).rename(find(tables, old).with_name(new))


def remove(*names):
    return lambda images, tables: [find(tables, name).unlink() for name in names]


def copy_table(name, new):
    return lambda images, tables: shutil.copy(find(tables, name), tables / new)


def further_table(name, text):
    return lambda images, tables: (tables / name).write_text(text)


def every_table(change):
    return lambda images, tables: [change(path) for path in sorted(tables.rglob("*.csv"))]


def name_tables(form):
    """Give all tables other names, by a form such as ``my_{stem}.csv``."""
    return every_table(lambda path: path.rename(path.with_name(form.format(stem=path.stem))))


def rewrite(change):
    return every_table(lambda path: path.write_text(change(path.read_text()), encoding="utf-8"))


def replace(old, new):
    return rewrite(lambda text: text.replace(old, new))


def dates(form, pattern=ISO):
    """Write all dates in another form of year, month and day (y, m, d with zeros, M, D without)."""

    def write(match):
        year, month, day = match.groups() if pattern is ISO else (match[3], match[1], match[2])
        return form.format(y=year, m=month, d=day, M=int(month), D=int(day))

    return rewrite(lambda text: pattern.sub(write, text))


def decimal_commas(text):
    """What spreadsheets of most of Europe write."""
    target = io.StringIO()
    rows = ([re.sub(r"(?<=\d)\.(?=\d)", ",", cell) for cell in row] for row in csv.reader(io.StringIO(text)))
    csv.writer(target, delimiter=";").writerows(rows)
    return target.getvalue()


def move_tables(images, tables, folder="Data_extract_3.3.0"):
    """Put the tables into a folder of their own."""
    (tables / folder).mkdir(parents=True)
    for path in sorted(tables.glob("*.csv")):
        path.rename(tables / folder / path.name)


def linked_tables(images, tables):
    """Tables in a folder to which a link leads."""
    move_tables(images, tables, "../elsewhere")
    (tables / "link").symlink_to(tables.parent / "elsewhere")


def older_copy(images, tables):
    path = find(tables, "ADNIMERGE")
    wrong = pandas.read_csv(path, dtype=str).assign(PTGENDER="Male", DX="MCI")
    wrong.to_csv(tables / "ADNIMERGE_01Jan2020.csv", index=False)
    path.rename(tables / "ADNIMERGE_22Nov2024.csv")


def twice_exported(images, tables):
    """A table from either of the archive's two places, with other columns and other quotes."""
    table = pandas.read_csv(find(tables, "DXSUM"), dtype=str, keep_default_na=False)
    table.assign(SITEID="1").to_csv(tables / "DXSUM_28Nov2026.csv", index=False, quoting=1)


def without_ages(images, tables):
    """An ADNIMERGE without ages, beside PTDEMOG."""
    assign("ADNIMERGE", "AGE", lambda cell: "")(images, tables)
    people = dict.fromkeys(pandas.read_csv(find(tables, "ADNIMERGE"), dtype=str)["PTID"])
    rows = pandas.DataFrame({"PTID": list(people), "PTGENDER": "2", "PTDOB": "Dec-34", "PTDOBYY": "1934"})
    rows.to_csv(tables / "PTDEMOG.csv", index=False)


#: Lists of today, column by column: what MPRAGEMETA calls it, or ``=`` and a value.
MODERN_LISTS = {
    "All_Images": "image_id: ImageUID, subject_id: SubjectID, study_id: StudyID, image_type: =Original, "
    "image_date: ScanDate, image_description: Sequence",
    "Key_MRI": "image_id: ImageUID, subject_id: SubjectID, image_visit: =v02, image_date: ScanDate, "
    "series_description: Sequence",
    "Structural_MRI_Images": "image_id: ImageUID, subject_id: SubjectID, study_id: StudyID, mri_visit: =sc, "
    "mri_date: ScanDate, mri_description: Sequence, mri_field_str: MagStrength",
    "IDA": "Image Data ID: ImageUID, Subject: SubjectID, Group: =CN, Sex: =F, Age: =70, Visit: =sc, "
    "Modality: =MRI, Description: Sequence, Type: =Original, Acq Date: ScanDate, Format: =DCM, Downloaded: =",
}


def modern_list(kind):
    """Put a list of today in the place of MPRAGEMETA."""

    def run(images, tables):
        path = find(tables, "MPRAGEMETA")
        table = pandas.read_csv(path, dtype=str)
        path.unlink()
        target = tables / f"All_Subjects_{kind}_28Nov2026.csv"
        if kind == "IDA":
            target = images / "T1_11_28_2026.csv"
            dates = [f"{date.month}/{date.day}/{date.year}" for date in pandas.to_datetime(table["ScanDate"])]
            table = table.assign(ImageUID="I" + table["ImageUID"], ScanDate=dates)
        pairs = (column.split(": ") for column in MODERN_LISTS[kind].split(", "))
        rows = {new: old[1:] if old.startswith("=") else table[old] for new, old in pairs}
        pandas.DataFrame(rows).to_csv(target, index=False)
        if kind == "All_Images":
            manifest = pandas.DataFrame({"image_id": table["ImageUID"], "series_id": table["SeriesID"]})
            manifest.to_csv(tables / "My_Manifest_28Nov2026.csv", index=False)

    return run
