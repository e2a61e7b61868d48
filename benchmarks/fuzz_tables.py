"""Changes of the rows of a BIDS dataset's tables, and what has to come of them."""

from __future__ import annotations

import random

from fuzz_cells import Maker
from fuzz_dataset import (
    COLUMNS,
    PEOPLE,
    SAME,
    SESSIONS,
    TABLE,
    Change,
    Files,
    Outcome,
    excluded,
    images_of,
    merge,
    read_table,
    scans_table,
    without_row,
    write_table,
)
from fuzz_files import other_head


def line_outcome(table: str, refused: str) -> tuple[Outcome, ...]:
    """Say what comes of a table that cannot be read: a refusal, or of one participant an exclusion."""
    who = table.split("/")[0]
    if table == TABLE:
        return (Outcome(refused=refused),)
    listed = frozenset({("file", who)})
    if table.endswith("_sessions.tsv"):
        return (Outcome(excluded(who, "the table of the sessions cannot be used"), listed),)
    paths = [path for path in images_of(who) if scans_table(path) == table]
    return (Outcome({path: {"field_strength": None} for path in paths}, listed),)


def some_table(files: Files, dice: random.Random) -> str:
    """Draw a table, participants.tsv half of the time."""
    return (
        TABLE
        if dice.random() < 0.5
        else dice.choice(sorted(name for name in files if "/" in name and name.endswith(".tsv")))
    )


def broken_line(files: Files, dice: random.Random) -> Change:
    """A tab, a line feed or a carriage return inside a row."""
    table = some_table(files, dice)
    lines = files[table].decode().splitlines()
    number = dice.randrange(1, len(lines))
    line = lines[number]
    letter = dice.choice("\t\n\r")
    full = line.rstrip("\t")
    place = dice.randrange(1, len(full))
    lines[number] = line[:place] + letter + line[place:]
    words = "carriage return" if letter == "\r" else rf"Line ({number + 1}|{number + 2}) of the table"
    outcomes = line_outcome(table, words)
    return Change(
        f"{table}: {letter!r} in line {number + 1} at {place}",
        files | {table: ("\n".join(lines) + "\n").encode()},
        outcomes,
    )


def harmless_line(files: Files, dice: random.Random) -> Change:
    """Blank lines, a carriage return at an end, or no end of the last line."""
    table = some_table(files, dice)
    lines = files[table].decode().split("\n")
    number = dice.randrange(1, len(lines))
    what = dice.choice(["blank", "tabs", "spaces", "return", "end", "many"])
    if what == "return":
        lines[number - 1] += "\r"
    elif what == "end":
        lines = lines[:-1]
    else:
        lines.insert(number, {"blank": "", "tabs": "\t\t", "spaces": "   ", "many": "\n\n"}[what])
    return Change(
        f"{table}: {what} at line {number + 1}", files | {table: "\n".join(lines).encode()}, (SAME,)
    )


def delete_row(files: Files, dice: random.Random) -> Change:
    """No row of a participant."""
    line = dice.randrange(len(PEOPLE))
    rows = read_table(files[TABLE])
    del rows[line + 1]
    return Change(
        f"{TABLE}: no row of {PEOPLE[line][0]}",
        files | {TABLE: write_table(rows)},
        (without_row(PEOPLE[line][0]),),
    )


def delete_session_row(files: Files, dice: random.Random) -> Change:
    """No row of a session."""
    who, place = dice.choice(sorted(SESSIONS)), dice.randrange(2)
    table = f"{who}/{who}_sessions.tsv"
    rows = read_table(files[table])
    del rows[place + 1]
    lost = (
        {images_of(who)[1]: {"status": "excluded", "reason": "not the first usable visit"}} if place else {}
    )
    outcomes = (Outcome(lost, maybe_listed=frozenset({("session_id", who)})), Outcome(excluded(who, "ses-")))
    return Change(f"{table}: no row {place + 1}", files | {table: write_table(rows)}, outcomes)


def repeat_row(files: Files, dice: random.Random) -> Change:
    """A row twice, as it is or with another value."""
    table = TABLE if dice.random() < 0.6 else f"{(name := dice.choice(sorted(SESSIONS)))}/{name}_sessions.tsv"
    rows = read_table(files[table])
    row = list(rows[dice.randrange(1, len(rows))])
    other = dice.random() < 0.5
    if other:
        column = dice.randrange(1, len(row) - 1)
        row[column] = {"acq_time": "2001-01-01", "sex": "x"}.get(rows[0][column], "17")
    rows.insert(dice.randrange(1, len(rows) + 1), row)
    if table == TABLE:
        outcomes = (Outcome(refused=f"more than once: {row[0]}"),)
    else:
        who = table.split("/")[0]
        outcomes = line_outcome(table, "") if other else (SAME,)
        listed = frozenset({("diagnosis", who), ("file", who)})
        outcomes = tuple(Outcome(one.rows, one.listed, listed) for one in outcomes)
    return Change(f"{table}: {row} twice", files | {table: write_table(rows)}, outcomes)


def resize_row(files: Files, dice: random.Random) -> Change:
    """A row that is shorter or longer than the header."""
    table = some_table(files, dice)
    rows = read_table(files[table])
    number = dice.randrange(1, len(rows))
    if dice.random() < 0.5:
        rows[number] = rows[number][: dice.randrange(1, len(rows[0]))]
    else:
        rows[number] = rows[number] + dice.choice([["x"], ["", "x"], ["17", "17"]])
    outcomes = line_outcome(table, f"Line {number + 1} of the table")
    return Change(
        f"{table}: line {number + 1} is {rows[number]}", files | {table: write_table(rows)}, outcomes
    )


def shift_row(files: Files, dice: random.Random) -> Change:
    """A tab twice in a row whose last cell is empty: as many cells as the header has."""
    empty = [number for number, row in enumerate(PEOPLE, start=1) if not row[-1]]
    rows = read_table(files[TABLE])
    number = dice.choice(empty)
    rows[number].insert(dice.randrange(1, len(COLUMNS) - 1), "")
    return Change(
        f"{TABLE}: line {number + 1} is {rows[number]}",
        files | {TABLE: write_table(rows)},
        (Outcome(refused=f"Line {number + 1} of the table"),),
    )


def repeat_header(files: Files, dice: random.Random) -> Change:
    """The header again, in the middle of participants.tsv."""
    rows = read_table(files[TABLE])
    rows.insert(dice.randrange(1, len(rows) + 1), rows[0])
    return Change(
        f"{TABLE}: the header again", files | {TABLE: write_table(rows)}, (Outcome(refused="participant_id"),)
    )


def shuffle_rows(files: Files, dice: random.Random) -> Change:
    """The rows in another order, which says nothing here."""
    table = dice.choice(
        [TABLE, *sorted(name for name in files if name.endswith(("_sessions.tsv", "_scans.tsv")))]
    )
    rows = read_table(files[table])
    body = dice.sample(rows[1:], len(rows) - 1)
    return Change(f"{table}: rows in another order", files | {table: write_table([rows[0], *body])}, (SAME,))


def truncate(files: Files, dice: random.Random) -> Change:
    """participants.tsv that ends early."""
    text = files[TABLE].decode()
    text = text[: dice.randrange(len(text))]
    lines = text.split("\n")
    lines = lines[:-1] if not lines[-1].strip() else lines
    partial = len(lines) > 1 and lines[-1].count("\t") < len(COLUMNS) - 1
    there = {line.split("\t")[0] for line in lines[1:]}
    if not lines or lines[0].split("\t")[0] != "participant_id":
        outcomes = (Outcome(refused="no column participant_id"),)
    elif partial:
        outcomes = (Outcome(refused=f"Line {len(lines)} of the table"),)
    else:
        outcomes = (merge([without_row(who) for who, *_ in PEOPLE if who not in there]),)
    return Change(f"{TABLE}: cut after {len(text)} letters", files | {TABLE: text.encode()}, outcomes)


def unknown_participant(files: Files, dice: random.Random) -> Change:
    """A row of a participant who has no image, or images of one who has no row."""
    who = dice.choice(["sub-13", "sub-00", "sub-5", "sub-X"])
    if dice.random() < 0.5:
        rows = read_table(files[TABLE])
        rows.insert(dice.randrange(1, len(rows) + 1), [who, "70", "F", "Oslo", "AD", "22", ""])
        row = {f"{who} ": {"participant_id": who, "status": "excluded", "reason": "no image in the download"}}
        return Change(f"{TABLE}: a row of {who}", files | {TABLE: write_table(rows)}, (Outcome(row),))
    path = f"{who}/anat/{who}_T1w.nii.gz"
    row = {path: {"participant_id": who, "status": "excluded", "reason": "no diagnosis"}}
    return Change(
        f"{path}: no row", files | {path: other_head(files)}, (Outcome(row, frozenset({("file", who)})),)
    )


ROW: list[Maker] = [
    broken_line,
    broken_line,
    delete_row,
    delete_session_row,
    repeat_row,
    resize_row,
    shift_row,
    repeat_header,
    shuffle_rows,
    truncate,
    unknown_participant,
    harmless_line,
    broken_line,
]
