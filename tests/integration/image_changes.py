"""What happens to the images of downloads on their way to a user: archives, folders, files, generations.

A change is a function of the images folder and the tables folder.
"""

import re
import shutil
import zipfile

import nibabel
import numpy
import pandas
import pydicom
from table_changes import append, edit, find

#: The series of which files are cut short.
TRUNCATED = "10006"
ZOOM = (8.5, 8.0, 8.3)


def leaves(images):
    return sorted(path for path in images.rglob("I*") if path.is_dir())


def copy_series(subject, target, number, stamp=None):
    """Copy one series of a participant under another number, with identifiers of its own."""
    leaf = leaves(subject)[0]
    place = target / leaf.parents[1].name / (stamp or leaf.parent.name) / f"I{number}"
    place.mkdir(parents=True)
    for path in leaf.iterdir():
        image = pydicom.dcmread(path)
        own = f"{image.SOPInstanceUID[:-6]}{number}"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = own
        image.save_as(place / re.sub(r"_I\d+", f"_I{number}", path.name))


def further_series(participant, number, sequence):
    """A series of another sequence beside a participant's others."""

    def run(images, tables):
        copy_series(images / participant, images / participant, number)
        folder = next(images.rglob(f"I{number}"))
        target = images / participant / sequence / folder.parent.name
        target.mkdir(parents=True)
        folder.rename(target / folder.name)

    return run


def write_nifti(folder, target):
    """Write the volume of a DICOM series as NIfTI."""
    slices = sorted(map(pydicom.dcmread, folder.glob("*.dcm")), key=lambda one: one.ImagePositionPatient[0])
    volume = numpy.stack([one.pixel_array[::-1].T for one in slices])[::-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(volume.astype(numpy.int16), numpy.diag([*ZOOM, 1.0])), target)


def as_nifti(suffix):
    def run(images, tables):
        for leaf in leaves(images):
            if leaf.name in (f"I{TRUNCATED}", "I10025"):
                continue
            name = next(path.name for path in leaf.iterdir())
            write_nifti(leaf, leaf / (re.sub(r"_\d+(_S\d+_I\d+)\.dcm$", r"\1", name) + suffix))
            for path in leaf.glob("*.dcm"):
                path.unlink()

    return run


def with_processed(on_disk):
    """Give each scan of ADNI1, GO and 2 a pre-processed sibling in the list, with or without its file."""

    def run(images, tables):
        path = find(tables, "MPRAGEMETA")
        table = pandas.read_csv(path, dtype=str)
        own = table[~table["Visit"].str.startswith("ADNI3") & ~table["SubjectID"].str.contains("_S_6")]
        name = "MPR; GradWarp; B1 Correction; N3; Scaled"
        number = (own["ImageUID"].astype(int) + 50_000).astype(str)
        more = own.assign(**{"Orig/Proc": "Processed", "Sequence": name, "ImageUID": number})
        pandas.concat([table, more]).to_csv(path, index=False)
        for row, new in zip(own.itertuples(), number, strict=True):
            folder = next(images.glob(f"**/I{row.ImageUID}"), None)
            if on_disk and folder and row.ImageUID != TRUNCATED:
                sequence = folder.parents[1].with_name(re.sub(r"[^A-Za-z0-9-]", "_", name))
                file = f"ADNI_{row.SubjectID}_MR_MPR_Br_20060418_S1_I{new}.nii"
                write_nifti(folder, sequence / folder.parent.name / f"I{new}" / file)

    return run


def adni4(images, tables):
    """A participant of ADNI4, with an image."""
    cells = {"PTID": "033_S_10123", "RID": "10123", "COLPROT": "ADNI4", "ORIGPROT": "ADNI4"}
    append("ADNIMERGE", **cells)(images, tables)
    adni4_folder(images, tables)


def adni4_folder(images, tables):
    """A folder of ADNI4 that no table names; it has the number of another participant's end."""
    copy_series(images / "002_S_0001", images / "033_S_10001", 70_001)


def adni4_visit(images, tables):
    """A visit in ADNI4 of a participant of ADNI 3."""
    visit = {"PTID": "009_S_6003", "RID": "6003", "ORIGPROT": "ADNI3", "COLPROT": "ADNI4"}
    append("ADNIMERGE", VISCODE="m204", EXAMDATE="2023-05-02", **visit)(images, tables)
    scan = {"SubjectID": "009_S_6003", "Visit": "ADNI4 Initial Visit", "ScanDate": "2023-05-02"}
    scan |= {"ImageUID": "70002", "Sequence": "Accelerated Sagittal MPRAGE"}
    append("MPRAGEMETA", **scan)(images, tables)
    copy_series(images / "009_S_6003", images / "009_S_6003", 70_002, stamp="2023-05-02_08_00_00.0")


def broken_first_scan(images, tables):
    """The scan that the tables prefer cannot be read; another one of the visit can."""
    copy_series(images / "002_S_0001", images / "002_S_0001", 10_501)
    row = {"ImageUID": "10501", "SeriesID": "9501", "ScanDate": "2006-04-18", "SubjectID": "002_S_0001"}
    row |= {"Visit": "ADNI Screening", "MagStrength": "1.5", "Sequence": "MP-RAGE REPEAT"}
    append("MPRAGEMETA", **row)(images, tables)
    for path in next(images.rglob("I10001")).iterdir():
        path.write_bytes(path.read_bytes()[:-99])


def later_undated_kind(images, tables):
    """A scan of a kind that Clinica takes for a baseline one, of a later visit that the tables date."""
    later = {"RID": "207", "VISCODE": "m18"}
    append("mri3meta", EXAMDATE="10/10/2007", **later)(images, tables)
    append("pdxconv", DXCURREN="1", **later)(images, tables)
    copy_series(images / "207", images / "207", 10_600, stamp="2007-10-10_08_12_00.0")


def compressed_sensing(images, tables):
    """The sequences of the newest scanners of ADNI 3, whose names lack the word that Clinica looks for."""
    old, new = "Accelerated Sagittal MPRAGE", "CS/HS Sagittal MPRAGE (MSV22)"
    edit("MPRAGEMETA", lambda table: table.replace(old, new))(images, tables)
    for path in sorted(images.rglob("Accelerated_Sagittal_MPRAGE")):
        path.rename(path.with_name("CS_HS_Sagittal_MPRAGE__MSV22_"))


def without_numbers(name):
    return re.sub(r"_S\d+_I\d+", "", name)


def rename_files(change):
    return lambda images, tables: [
        path.rename(path.with_name(change(path.name))) for path in sorted(images.rglob("*.dcm"))
    ]


def series_leaves(images, tables):
    for leaf in leaves(images):
        number = re.search(r"_S(\d+)_", next(leaf.iterdir()).name)[1]
        leaf.rename(leaf.with_name(f"S{number}"))


def two_leaves(images, tables):
    """One series in a folder of either generation's name, the older one with files without numbers."""
    folder = next(images.rglob("I10001"))
    shutil.copytree(folder, folder.with_name("S5001"))
    rename_files(without_numbers)(folder.with_name("S5001"), tables)


def copied_slices(images, tables):
    """A part of a series that a browser or file manager stored twice."""
    for path in sorted(next(images.rglob("I10001")).glob("*.dcm"))[:3]:
        shutil.copy(path, path.with_name(f"{path.stem} (1).dcm"))


def clutter(inside):
    """Files that are no images, at the root and in the trees of participants."""

    def run(images, tables):
        for folder in leaves(images)[:4] if inside else [images]:
            (folder / f"ADNI_x_{folder.name}.xml").write_text("<project/>")
            for name in ("report.pdf", "Thumbs.db", ".DS_Store", "._hidden_I10001.dcm"):
                (folder / name).write_bytes(b"no image")

    return run


def xml_beside(images, tables):
    """Metadata named like images: Clinica takes every file with the number for one."""
    for leaf in leaves(images):
        person, sequence = leaf.parents[2], leaf.parents[1].name
        (person / f"ADNI_{person.name}_{sequence}_S1_{leaf.name}.xml").write_text("<project/>")


def stray_folder(name):
    def run(images, tables):
        (images / name).mkdir()
        (images / name / "readme.txt").write_text("nothing")

    return run


def other_names(images, tables):
    for path in [path for path in images.iterdir() if path.is_dir()]:
        path.rename(images / f"x{path.name}")


def no_collection(images, tables):
    for path in images.glob("*.csv"):
        path.unlink()


def deeper(name):
    def run(images, tables):
        inside = sorted(path for path in images.iterdir() if path.is_dir())
        (images / name).mkdir(parents=True)
        for path in inside:
            path.rename(images / name / path.name)

    return run


def archives(images, tables):
    """Archives side by side, one participant in two of them, one series too."""
    people = sorted(path for path in images.iterdir() if path.is_dir())
    for number, path in enumerate(people):
        root = images / f"T1_{number % 2}" / "ADNI"
        root.mkdir(parents=True, exist_ok=True)
        path.rename(root / path.name)
    leaf = leaves(images / "T1_0")[0]
    other = images / "T1_1" / leaf.relative_to(images / "T1_0")
    other.mkdir(parents=True)
    for path in sorted(leaf.iterdir())[::2]:
        path.rename(other / path.name)


def twice(images, tables):
    """An archive that was unpacked in two places."""
    shutil.copytree(images, images.parent / "copy")
    (images.parent / "copy").rename(images / "again")


def pack(archive, root, paths):
    """Put files into an archive, below the root that LONI's archives have."""
    with zipfile.ZipFile(archive, "w") as target:
        for path in paths:
            target.write(path, f"ADNI/{path.relative_to(root)}")


def zipped(images, tables):
    """Archives that were never unpacked."""
    pack(images.parent / "T1.zip", images, images.rglob("*.dcm"))
    shutil.rmtree(images)
    images.mkdir()
    (images.parent / "T1.zip").rename(images / "T1 part 1.zip")


def one_zip_left(images, tables):
    """An archive of which one participant was not unpacked."""
    pack(images / "T1_2.zip", images, (images / "002_S_0001").rglob("*.dcm"))
    shutil.rmtree(images / "002_S_0001")


def unpacked_zip(images, tables):
    pack(images / "T1.zip", images, sorted(images.rglob("*.dcm"))[:5])
    with zipfile.ZipFile(images / "XML.zip", "w") as archive:
        archive.writestr("ADNI/002_S_0001/x.xml", "<project/>")


def zipped_tables(images, tables):
    folder, paths = tables / "ADNI" / "Imaging" / "QC", sorted(tables.glob("*.csv"))
    folder.mkdir(parents=True)
    pack(folder / "Study_Info.zip", tables, paths)
    for path in paths:
        path.unlink()
