"""Changes of headers and encodings of a BIDS dataset's tables, and what has to come of them."""

from __future__ import annotations

import json
import random

from fuzz_cells import STANDS, Maker, around, cell_outcome
from fuzz_dataset import (
    COLUMNS,
    FIELDS_OF_JSON,
    PEOPLE,
    SAME,
    TABLE,
    Change,
    Files,
    Outcome,
    images_of,
    merge,
    read_table,
    write_table,
)
from fuzz_tables import line_outcome, some_table


def _lost_column(variable: str) -> tuple[Outcome, ...]:
    """Say what comes where participants.tsv has no column of a variable."""
    if variable not in COLUMNS[1:6]:
        return (SAME,)
    parts = [cell_outcome(who, variable, ("", None, STANDS)) for who, *_ in PEOPLE]
    own = ("sub-01", "sub-02") if variable in ("age", "diagnosis", "mmse") else ()  # of the sessions' tables
    listed = frozenset((variable, who) for who, *_ in PEOPLE if who not in own)
    return (Outcome(merge(parts).rows, listed),)


def rename_column(files: Files, dice: random.Random) -> Change:
    """Another name of a column: one that is known, one in other letters, or nonsense."""
    rows = read_table(files[TABLE])
    column = dice.randrange(len(COLUMNS))
    name = COLUMNS[column]
    known = {
        "sex": ["gender"],
        "diagnosis": ["dx", "group", "Group"],
        "mmse": ["MMS", "mmse_bl"],
        "age": ["age_bl"],
    }
    same = [name.upper(), name.title(), around(name, dice), *known.get(name, [])]
    lost = ["alter", f'"{name}"', f"{name}_x", "", f"={name}", name[:-1], f"{name}\u200b", "\x07", "x" * 3000]
    rows[0][column] = dice.choice(same if dice.random() < 0.5 else lost)
    if column == 0:
        is_name = rows[0][0].strip().lower() == name
        outcomes = (SAME,) if is_name else (Outcome(refused="no column participant_id"),)
    elif rows[0][column] in same or rows[0][column].strip() == name:
        outcomes = (SAME,)
    elif not rows[0][column] and column == len(COLUMNS) - 1:
        outcomes = (Outcome(refused="Line 2 of the table"),)  # cells without a column
    else:
        outcomes = _lost_column(name)
    return Change(
        f"{TABLE}: column {rows[0][column]!r} for {name}", files | {TABLE: write_table(rows)}, outcomes
    )


def double_column(files: Files, dice: random.Random) -> Change:
    """A column twice, with its cells or by its name only."""
    rows = read_table(files[TABLE])
    column = dice.randrange(1, len(COLUMNS))
    if dice.random() < 0.5:
        place = dice.randrange(1, len(COLUMNS) + 1)
        for row in rows:
            row.insert(place, row[column])
    else:
        rows[0][column] = dice.choice([name for name in COLUMNS if name != COLUMNS[column]])
    gone, twice = COLUMNS[column], {name for name in rows[0] if rows[0].count(name) > 1}
    if dice.random() < 0.3:
        rows[0] = [name.title() if place == column else name for place, name in enumerate(rows[0])]
    return Change(
        f"{TABLE}: columns {rows[0]}",
        files | {TABLE: write_table(rows)},
        _lost_column(gone)
        if twice == {"comment"}
        else (Outcome(refused="column twice|no column participant_id"),),
    )


def delete_column(files: Files, dice: random.Random) -> Change:
    """No column of a variable, or a name without a column."""
    rows = read_table(files[TABLE])
    column = dice.randrange(len(COLUMNS))
    if dice.random() < 0.5:
        del rows[0][column]
        refused = "no column participant_id" if column == 0 else "Line 2 of the table"
        outcomes = (Outcome(refused=refused),)
    else:
        for row in rows:
            del row[column]
        outcomes = (
            (Outcome(refused="no column participant_id"),) if column == 0 else _lost_column(COLUMNS[column])
        )
    return Change(f"{TABLE}: columns {rows[0]}", files | {TABLE: write_table(rows)}, outcomes)


def reorder_columns(files: Files, dice: random.Random) -> Change:
    """The columns in another order, with their cells."""
    table = some_table(files, dice)
    rows = read_table(files[table])
    order = dice.sample(range(len(rows[0])), len(rows[0]))
    return Change(
        f"{table}: columns in the order {order}",
        files | {table: write_table([[row[one] for one in order] for row in rows])},
        (SAME,),
    )


def swap_names(files: Files, dice: random.Random) -> Change:
    """Two names of columns swapped, without their cells."""
    rows = read_table(files[TABLE])
    first, second = dice.sample(range(len(COLUMNS)), 2)
    rows[0][first], rows[0][second] = rows[0][second], rows[0][first]
    names = {COLUMNS[first], COLUMNS[second]}
    outcomes: tuple[Outcome, ...] = (Outcome(refused=r"\d+ of 12 participants|names are not those of BIDS"),)
    if names <= {"site", "diagnosis", "comment"}:
        parts = []
        for row in PEOPLE:
            who, cells = row[0], dict(zip(COLUMNS, row, strict=True))
            one, other = sorted(names)
            cells[one], cells[other] = cells[other], cells[one]
            site = cell_outcome(who, "site", (cells["site"], cells["site"] or None, STANDS))
            diagnosis = cell_outcome(
                who, "diagnosis", (cells["diagnosis"], cells["diagnosis"] or None, STANDS)
            )
            both = {path: {**site.rows[path], **diagnosis.rows.get(path, {})} for path in images_of(who)}
            parts.append(Outcome(both))
        outcomes = (merge(parts),)
    return Change(f"{TABLE}: names of {sorted(names)} swapped", files | {TABLE: write_table(rows)}, outcomes)


def dress_header(files: Files, dice: random.Random) -> Change:
    """Marks, tabs and quotation around the header."""
    table = some_table(files, dice)
    header, _, body = files[table].decode().partition("\n")
    what = dice.choice(
        ["mark", "tab", "tabs", "leading tab", "quotes", "space", "return", "commas", "comment"]
    )
    header = {
        "mark": "\ufeff" + header,
        "tab": header + "\t",
        "tabs": header + "\t\t",
        "leading tab": "\t" + header,
        "quotes": "\t".join(f'"{name}"' for name in header.split("\t")),
        "space": header.replace("\t", " \t"),
        "return": header + "\r",
        "commas": header.replace("\t", ","),
        "comment": "# " + header,
    }[what]
    outcomes: tuple[Outcome, ...] = (SAME,)
    if what in ("leading tab", "quotes", "commas", "comment"):
        outcomes = line_outcome(table, "Line 2 of the table|no column participant_id")
    return Change(
        f"{table}: {what} in the header", files | {table: (header + "\n" + body).encode()}, outcomes
    )


def encode_table(files: Files, dice: random.Random) -> Change:
    """A table in another encoding, or with other ends of lines."""
    table = some_table(files, dice)
    who = table.split("/")[0]
    text = files[table].decode()
    lines = text.split("\n")
    inside = dice.randrange(1, len(lines) - 1)
    kinds: dict[str, tuple[bytes, str]] = {
        "utf-8-sig": (text.encode("utf-8-sig"), ""),
        "utf-16": (text.encode("utf-16"), ""),
        "utf-16-be with its mark": (b"\xfe\xff" + text.encode("utf-16-be"), ""),
        "CRLF": (text.replace("\n", "\r\n").encode(), ""),
        "CR": (text.replace("\n", "\r").encode(), ""),
        "mixed": ("".join(line + dice.choice(["\n", "\r\n"]) for line in lines[:-1]).encode(), ""),
        "latin-1": (text.encode("latin-1"), r"Line \d+ has the byte"),
        "cp1252": (text.replace("naïve", "“naïve”").encode("cp1252"), r"Line \d+ has the byte"),
        "utf-16-le without its mark": (text.encode("utf-16-le"), "not text in UTF-8"),
        "utf-16-be without its mark": (text.encode("utf-16-be"), "not text in UTF-8"),
        "NUL": ("\n".join([*lines[:inside], lines[inside] + "\0", *lines[inside + 1 :]]).encode(), "NUL"),
        "CR among LF": (
            "\n".join(lines[:inside]).encode() + b"\r" + "\n".join(lines[inside:]).encode(),
            r"[Ll]ine \d+ .*carriage return",
        ),
        "cut utf-16": (text.encode("utf-16")[:-1], "UTF"),
        "broken utf-8": (
            text.encode().replace("ï".encode(), b"\xc3").replace("ü".encode(), b"\xc3"),
            "has the byte",
        ),
        "junk": (
            text.encode() + bytes(dice.randrange(97, 123) for _ in range(200_000)),
            f"Line {len(lines)} of the table",
        ),
        "binary": (bytes(dice.randrange(256) for _ in range(5000)), "not text in UTF-8|no column"),
        "nothing": (b"", "no column"),
    }
    name = dice.choice(sorted(kinds))
    content, refused = kinds[name]
    outcomes = line_outcome(table, refused) if refused else (SAME,)
    if table != TABLE and name in ("latin-1", "cp1252", "broken utf-8"):
        outcomes = (Outcome({}, frozenset({("file", who)})),)
    if table != TABLE and name in ("binary", "cut utf-16", "CR among LF"):
        outcomes = (*outcomes, Outcome({}, frozenset({("file", who)})))
    return Change(f"{table}: {name}", files | {table: content}, outcomes)


def encode_json(files: Files, dice: random.Random) -> Change:
    """A JSON file in another encoding, or one that is none."""
    sidecars = [path.replace(".nii.gz", ".json") for who in FIELDS_OF_JSON for path in images_of(who)]
    table = dice.choice([*sidecars, "participants.json"])
    text = files[table].decode()
    kinds: dict[str, tuple[bytes, bool]] = {
        "spaces": (json.dumps(json.loads(text), indent=4).encode(), True),
        "CRLF": (json.dumps(json.loads(text), indent=4).replace("\n", "\r\n").encode(), True),
        "NaN": (text.replace("}", ', "RepetitionTime": NaN}').encode(), table != "participants.json"),
        "utf-8-sig": (text.encode("utf-8-sig"), False),
        "utf-16": (text.encode("utf-16"), False),
        "latin-1": (text.encode("latin-1"), table == "participants.json"),
        "cut": (text.encode()[: dice.randrange(1, len(text))], False),
        "list": (f"[{text}]".encode(), False),
        "number": (b"3", False),
        "null": (b"null", False),
        "nothing": (b"", False),
        "NUL": (text.encode() + b"\0", False),
        "deep": (b"[" * 100_000, False),
        "deep objects": (b'{"a":' * 100_000, False),
        "junk": (text.encode() + b"x" * 5_000_000, False),
        "single quotes": (text.replace('"', "'").encode(), False),
        "comma": (text.replace("}", ",}").encode(), False),
        "long number": (text.replace("}", ', "x": ' + "1" * 5000 + "}").encode(), False),
    }
    name = dice.choice(sorted(kinds))
    content, good = kinds[name]
    who = table.split("/")[0] if "/" in table else ""
    lost = {table.replace(".json", ".nii.gz"): {"field_strength": None}} if who else {}
    outcomes = (SAME,) if good else (Outcome(lost, frozenset({("file", who)})), SAME)
    if table == "participants.json" and name == "NaN":
        outcomes = (SAME, *outcomes)
    return Change(f"{table}: {name}", files | {table: content}, outcomes)


HEADER: list[Maker] = [
    rename_column,
    rename_column,
    double_column,
    delete_column,
    reorder_columns,
    swap_names,
    dress_header,
]
ENCODING: list[Maker] = [encode_table, encode_table, encode_json]
