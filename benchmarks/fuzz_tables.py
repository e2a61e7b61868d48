"""Changes of the tables of a BIDS dataset, each with what has to come of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from fuzz_dataset import (
    COLUMNS,
    FIELDS_OF_JSON,
    FIELDS_OF_SCANS,
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

Maker = Callable[[Files, random.Random], Change]
STANDS, READ, LISTED = "stands", "read", "not understood"
Cell = tuple[str, object, str]

MISSING: list[Cell] = [(cell, None, STANDS) for cell in ("n/a", "", "N/A", "NaN", "None", "  ")] + [
    ("NULL", None, READ)
]
#: By variable: a cell, its value, and whether it is used as it stands, read as something, or not understood.
CELLS: dict[str, list[Cell]] = {
    "age": [
        *(("71.25", 71.25, STANDS), ("072", 72, STANDS), ("8.1e1", 81, STANDS), ("+70", 70, STANDS)),
        *(("89+", 89, READ), (">89", 89, READ), ("≥ 90", 90, READ), ("72,5", 72.5, READ), ("072Y", 72, READ)),
        *(("870M", 72.5, READ), ("72 years", 72, READ), ("72 ans", 72, READ), ("P72Y6M", 72.5, READ)),
        *(("７２", 72, READ), ("72 yrs old", 72, READ)),
        *(
            (cell, None, LISTED)
            for cell in ("999", "-4", "0", "1971", "x", "70-75", "٧٢", "1e3", "inf", "=72")
        ),
        *(
            (cell, None, LISTED)
            for cell in ("1,234", "72.5.1", "7 2", '"72"', "72'", "#N/A", "?", "0x48", "7" * 3000)
        ),
        *(
            (cell, None, LISTED)
            for cell in ("\u200b72", "72\x07", "1971-05-03", "-", ".", "M", "\ufeff72", "72\\n")
        ),
    ],
    "sex": [
        *(
            ("f", "F", READ),
            ("male", "M", READ),
            ("femme", "F", READ),
            ("Woman", "F", READ),
            ("homme", "M", READ),
        ),
        *(
            ("weiblich", "F", READ),
            ("mujer", "F", READ),
            ("MALE", "M", READ),
            ("Ｆ", "F", READ),
            ("other", None, READ),
        ),
        *(
            (cell, None, LISTED)
            for cell in ("1", "0", "2", "x", "F/M", "missing", "-4", "=F", '"F"', "V", "M?", "72")
        ),
        *((cell, None, LISTED) for cell in ("male or female", "M" * 3000, "♀", "F\x00"[:1] + "\x1b[2J")),
    ],
    "mmse": [
        *(
            ("25", 25, STANDS),
            ("0", 0, STANDS),
            ("28,5", 28.5, READ),
            ("２５", 25, READ),
            ("30.0", 30, STANDS),
        ),
        *(
            (cell, None, LISTED)
            for cell in ("31", "-1", "999", "x", "=25", '"25"', "25/30", "1971", "-4", "25 ", "٢٥")[:9]
        ),
        *((cell, None, LISTED) for cell in ("٢٥", "inf", "9" * 400, "25+")),
    ],
    "diagnosis": [
        *(("Control", "CN", READ), ("healthy control", "CN", READ), ("ad", "AD", READ), ("cn", "CN", READ)),
        *(
            ("Alzheimer's disease", "AD", READ),
            ("Dementia", "AD", READ),
            ("ＡＤ", "AD", READ),
            ("NL", "CN", READ),
        ),
        *(("MCI", "MCI", STANDS), ("FTD", "FTD", READ), ("no dementia", "no dementia", READ)),
        *(('"AD"', '"AD"', READ), ("=AD", "'=AD", READ), ("AD?", "AD?", READ), ("F", "F", READ)),
        *(("AD or CN", "AD or CN", READ), ("x" * 3000, "x" * 3000, READ), ("mci", "MCI", READ)),
        *((cell, cell, LISTED) for cell in ("1", "0", "2.0", "-4", "999", "72.5")),
        ("?", None, READ),
    ],
    "site": [
        *(
            ("Paris", "Paris", STANDS),
            ("007", "007", STANDS),
            ("oslo", "oslo", STANDS),
            ('"Oslo"', '"Oslo"', STANDS),
        ),
        *(("=1+1", "'=1+1", STANDS), ("Århus", "Århus", STANDS), ("x" * 3000, "x" * 3000, STANDS)),
        *(("Os\xa0lo", "Os lo", STANDS), ("Os\x1b[2Jlo", "Os\\x1b[2Jlo", STANDS), ("-4", "-4", STANDS)),
    ],
    "field_strength": [
        *(
            ("1.5", 1.5, STANDS),
            ("15000", 1.5, READ),
            ("3 T", 3, READ),
            ("1,5", 1.5, READ),
            ("3 Tesla", 3, READ),
        ),
        *(("7", 7, STANDS), ("３", 3, READ), ("2.89362", 2.89362, STANDS)),
        *((cell, None, LISTED) for cell in ("0", "-1", "1500", "x", "=3", '"3"', "3+", "999", "1,234")),
    ],
}


def _around(cell: str, dice: random.Random) -> str:
    """Put white space around a cell, which does not matter."""
    spaces = (" ", "  ", "\xa0", "\u3000", "\u2003")
    return dice.choice(spaces) + cell + dice.choice(spaces)


def _draw_cell(variable: str, good: str, dice: random.Random) -> Cell:
    """Draw another cell for a variable: of the list, a missing value, or the good one among spaces."""
    if dice.random() < 0.15:
        return _around(good, dice), good, STANDS
    return dice.choice(MISSING if dice.random() < 0.2 else CELLS[variable])


def _of_other_column(variable: str, cell: str) -> Cell:
    """Say what a plain value of one column is in another: the same rules, in fewer words."""
    number = float(cell) if cell.replace(".", "", 1).isdigit() else None
    if variable in ("age", "mmse"):
        fits = number is not None and (0 < number <= 120 if variable == "age" else number <= 30)
        return (cell, cell, STANDS) if fits else (cell, None, LISTED)
    if variable == "sex":
        return (cell, cell, STANDS) if cell in ("M", "F") else (cell, None, LISTED)
    if variable == "diagnosis" and number is not None:
        return cell, cell, LISTED
    return cell, cell, READ if variable == "diagnosis" and cell not in ("AD", "CN") else STANDS


def _cell_outcome(who: str, variable: str, cell: Cell) -> Outcome:
    """Say what comes of a cell in a participant's own row."""
    _, value, fate = cell
    listed = frozenset() if fate == STANDS else frozenset({(variable, who)})
    if variable == "diagnosis":
        if len(SESSIONS.get(who, [()])[0]) > 2:  # the sessions have theirs
            same = value in (None, SESSIONS[who][0][2])
            return Outcome({} if same else excluded(who, "diagnosis changes between visits"), listed)
        if value not in ("AD", "CN"):
            reason = "no diagnosis" if value is None else r"diagnosis .* is not studied"
            return Outcome(excluded(who, reason), listed)
    rows = {}
    for path in images_of(who):
        own = who in ("sub-01", "sub-02") and variable in ("age", "mmse")  # of the sessions' table
        first = path == images_of(who)[0] or who not in SESSIONS or variable not in ("age", "mmse")
        rows[path] = {} if own or not first else {variable: value}
    return Outcome(rows, listed)


def _put(files: Files, table: str, line: int, column: int, cell: str) -> Files:
    rows = read_table(files[table])
    rows[line][column] = cell
    return files | {table: write_table(rows)}


def participant_cell(files: Files, dice: random.Random) -> Change:
    """Another cell in participants.tsv."""
    line, variable = dice.randrange(len(PEOPLE)), dice.choice(COLUMNS[1:6])
    who, column = PEOPLE[line][0], COLUMNS.index(variable)
    if dice.random() < 0.2:
        cell = _of_other_column(variable, PEOPLE[line][dice.choice([2, 1, 3, 4, 5])])
    else:
        cell = _draw_cell(variable, PEOPLE[line][column], dice)
    what = f"{TABLE}, {who}: {variable} {cell[0]!r}"
    return Change(what, _put(files, TABLE, line + 1, column, cell[0]), (_cell_outcome(who, variable, cell),))


def identifier_cell(files: Files, dice: random.Random) -> Change:
    """Another participant_id: none of BIDS, or one that no folder has."""
    line = dice.randrange(len(PEOPLE))
    who = PEOPLE[line][0]
    cell = dice.choice(
        [
            who[4:],
            who.upper(),
            "",
            "n/a",
            f"{who}/..",
            f'"{who}"',
            f"{who} x",
            "=1",
            f"{who}\x07",
            _around(who, dice),
            who + "0",
            "sub-0" + who[4:],
        ]
    )
    if cell.strip() == who:
        outcomes = (SAME,)
    elif cell.startswith("sub-") and cell[4:].isalnum():
        gone = {
            f"{cell} ": {"participant_id": cell, "status": "excluded", "reason": "no image in the download"}
        }
        outcomes = (merge([without_row(who), Outcome(gone)]),)
    else:
        outcomes = (Outcome(refused="names are not those of BIDS"),)
    return Change(
        f"{TABLE}: participant_id {cell!r} for {who}", _put(files, TABLE, line + 1, 0, cell), outcomes
    )


def session_cell(files: Files, dice: random.Random) -> Change:
    """Another age, diagnosis or score of a session."""
    who, place = dice.choice(["sub-01", "sub-02"]), dice.randrange(2)
    variable = dice.choice(["age", "diagnosis", "mmse"])
    visits = SESSIONS[who]
    column = ("session_id", "age", "diagnosis", "mmse").index(variable)
    cell = _draw_cell(variable, visits[place][column], dice)
    _, value, fate = cell
    listed = frozenset() if fate == STANDS else frozenset({(variable, who)})
    path = images_of(who)[place]
    rows = {path: {variable: value}}
    if variable == "diagnosis":
        rows = {path: {"diagnosis": value or visits[0][2]}}
        if value is not None and value != visits[0][2]:
            rows = excluded(who, "diagnosis changes between visits")
    elif value is None:  # then the participant's own row counts for the first visit
        rows = {path: {variable: visits[0][column] if place == 0 else None}}
    elif variable == "age":
        ages = [float(visit[1]) for visit in visits]
        ages[place] = float(str(value))
        if ages != sorted(ages):
            rows = excluded(who, "puts ses-.* before")
            rows[path] |= {variable: value}
        elif len(set(ages)) < len(ages):
            rows = {path: {variable: value}}
    table = f"{who}/{who}_sessions.tsv"
    return Change(
        f"{table}: {variable} {cell[0]!r}",
        _put(files, table, place + 1, column, cell[0]),
        (Outcome(rows, listed),),
    )


def time_cell(files: Files, dice: random.Random) -> Change:
    """Another acq_time of a session or a scan."""
    who, place = dice.choice(sorted(SESSIONS)), dice.randrange(2)
    good = SESSIONS[who][place][-1]
    later, earlier = ("2031-01-01", "1930-01-01T08:00:00")
    cell = dice.choice(
        [
            good + "T09:30:00",
            good + "T09:30:00.123",
            good.replace("-", ""),
            "n/a",
            "",
            "x",
            "01/03/2010",
            "2010-13-01",
            "2010",
            "yesterday",
            "=1",
            f'"{good}"',
            later,
            earlier,
        ]
    )
    table, column = f"{who}/{who}_sessions.tsv", -2
    line = place + 1
    if who == "sub-01" and dice.random() < 0.5:
        table, column, line = scans_table(images_of(who)[place]), 1, 1
    wrong = cell == (later if place == 0 else earlier)
    if who == "sub-02" and place == 1 and cell == later:  # after the third visit
        wrong = True
    outcome = Outcome(excluded(who, "puts ses-.* before") if wrong else {})
    if cell in ("x", "01/03/2010", "2010-13-01", "2010", "yesterday", "=1", f'"{good}"'):
        outcome = Outcome({}, frozenset({("acq_time", who)}))
    return Change(f"{table}: acq_time {cell!r}", _put(files, table, line, column, cell), (outcome,))


def field_cell(files: Files, dice: random.Random) -> Change:
    """Another field strength, in *_scans.tsv or JSON."""
    if dice.random() < 0.5:
        who = dice.choice(sorted(FIELDS_OF_SCANS))
        path = dice.choice(images_of(who))
        cell = _draw_cell("field_strength", FIELDS_OF_SCANS[who], dice)
        table = scans_table(path)
        line = 1 + images_of(who).index(path) if who == "sub-05" else 1
        changed = _put(files, table, line, 2, cell[0])
    else:
        who = dice.choice(sorted(FIELDS_OF_JSON))
        path = dice.choice(images_of(who))
        table = path.replace(".nii.gz", ".json")
        numbers = [
            (3, 3, STANDS),
            (15000, 1.5, READ),
            ([3], 3, STANDS),
            (None, None, STANDS),
            (0, None, LISTED),
        ]
        numbers += [
            (-1, None, LISTED),
            (True, None, LISTED),
            ([3, 3], None, LISTED),
            ({"T": 3}, None, LISTED),
        ]
        numbers += [("3T", 3, READ), ("high", None, LISTED), ("", None, STANDS), (1e999, None, LISTED)]
        cell = dice.choice(numbers)
        changed = files | {table: json.dumps({"MagneticFieldStrength": cell[0]}).encode()}
    _, value, fate = cell
    listed = frozenset() if fate == STANDS else frozenset({("field_strength", who)})
    outcome = Outcome({path: {"field_strength": value}}, listed)
    return Change(f"{table}: field strength {cell[0]!r}", changed, (outcome,))


def _line_outcome(table: str, refused: str) -> tuple[Outcome, ...]:
    """Say what comes of a table that cannot be read: a refusal, or of one participant an exclusion."""
    who = table.split("/")[0]
    if table == TABLE:
        return (Outcome(refused=refused),)
    listed = frozenset({("file", who)})
    if table.endswith("_sessions.tsv"):
        return (Outcome(excluded(who, "the table of the sessions cannot be used"), listed),)
    paths = [path for path in images_of(who) if scans_table(path) == table]
    return (Outcome({path: {"field_strength": None} for path in paths}, listed),)


def _some_table(files: Files, dice: random.Random) -> str:
    """Draw a table, participants.tsv half of the time."""
    return (
        TABLE
        if dice.random() < 0.5
        else dice.choice(sorted(name for name in files if "/" in name and name.endswith(".tsv")))
    )


def broken_line(files: Files, dice: random.Random) -> Change:
    """A tab, a line feed or a carriage return inside a row."""
    table = _some_table(files, dice)
    lines = files[table].decode().splitlines()
    number = dice.randrange(1, len(lines))
    line = lines[number]
    letter = dice.choice("\t\n\r")
    full = line.rstrip("\t")
    place = dice.randrange(1, len(full))
    lines[number] = line[:place] + letter + line[place:]
    words = "carriage return" if letter == "\r" else rf"Line ({number + 1}|{number + 2}) of the table"
    outcomes = _line_outcome(table, words)
    return Change(
        f"{table}: {letter!r} in line {number + 1} at {place}",
        files | {table: ("\n".join(lines) + "\n").encode()},
        outcomes,
    )


def harmless_line(files: Files, dice: random.Random) -> Change:
    """Blank lines, a carriage return at an end, or no end of the last line."""
    table = _some_table(files, dice)
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
        outcomes = _line_outcome(table, "") if other else (SAME,)
        listed = frozenset({("diagnosis", who), ("file", who)})
        outcomes = tuple(Outcome(one.rows, one.listed, listed) for one in outcomes)
    return Change(f"{table}: {row} twice", files | {table: write_table(rows)}, outcomes)


def resize_row(files: Files, dice: random.Random) -> Change:
    """A row that is shorter or longer than the header."""
    table = _some_table(files, dice)
    rows = read_table(files[table])
    number = dice.randrange(1, len(rows))
    if dice.random() < 0.5:
        rows[number] = rows[number][: dice.randrange(1, len(rows[0]))]
    else:
        rows[number] = rows[number] + dice.choice([["x"], ["", "x"], ["17", "17"]])
    outcomes = _line_outcome(table, f"Line {number + 1} of the table")
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


def _lost_column(variable: str) -> tuple[Outcome, ...]:
    """Say what comes where participants.tsv has no column of a variable."""
    if variable not in COLUMNS[1:6]:
        return (SAME,)
    parts = [_cell_outcome(who, variable, ("", None, STANDS)) for who, *_ in PEOPLE]
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
    same = [name.upper(), name.title(), _around(name, dice), *known.get(name, [])]
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
    table = _some_table(files, dice)
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
            site = _cell_outcome(who, "site", (cells["site"], cells["site"] or None, STANDS))
            diagnosis = _cell_outcome(
                who, "diagnosis", (cells["diagnosis"], cells["diagnosis"] or None, STANDS)
            )
            both = {path: {**site.rows[path], **diagnosis.rows.get(path, {})} for path in images_of(who)}
            parts.append(Outcome(both))
        outcomes = (merge(parts),)
    return Change(f"{TABLE}: names of {sorted(names)} swapped", files | {TABLE: write_table(rows)}, outcomes)


def dress_header(files: Files, dice: random.Random) -> Change:
    """Marks, tabs and quotation around the header."""
    table = _some_table(files, dice)
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
        outcomes = _line_outcome(table, "Line 2 of the table|no column participant_id")
    return Change(
        f"{table}: {what} in the header", files | {table: (header + "\n" + body).encode()}, outcomes
    )


def encode_table(files: Files, dice: random.Random) -> Change:
    """A table in another encoding, or with other ends of lines."""
    table = _some_table(files, dice)
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
    outcomes = _line_outcome(table, refused) if refused else (SAME,)
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


CELL: list[Maker] = (
    [participant_cell] * 8
    + [session_cell] * 3
    + [time_cell] * 2
    + [field_cell] * 3
    + [identifier_cell, broken_line, broken_line]
)
ROW: list[Maker] = [
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
