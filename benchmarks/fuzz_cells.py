"""Changes of single cells of the tables of a BIDS dataset, and what has to come of them."""

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


def around(cell: str, dice: random.Random) -> str:
    """Put white space around a cell, which does not matter."""
    spaces = (" ", "  ", "\xa0", "\u3000", "\u2003")
    return dice.choice(spaces) + cell + dice.choice(spaces)


def _draw_cell(variable: str, good: str, dice: random.Random) -> Cell:
    """Draw another cell for a variable: of the list, a missing value, or the good one among spaces."""
    if dice.random() < 0.15:
        return around(good, dice), good, STANDS
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


def cell_outcome(who: str, variable: str, cell: Cell) -> Outcome:
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


def put(files: Files, table: str, line: int, column: int, cell: str) -> Files:
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
    return Change(what, put(files, TABLE, line + 1, column, cell[0]), (cell_outcome(who, variable, cell),))


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
            around(who, dice),
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
        f"{TABLE}: participant_id {cell!r} for {who}", put(files, TABLE, line + 1, 0, cell), outcomes
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
        put(files, table, place + 1, column, cell[0]),
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
    return Change(f"{table}: acq_time {cell!r}", put(files, table, line, column, cell), (outcome,))


def field_cell(files: Files, dice: random.Random) -> Change:
    """Another field strength, in *_scans.tsv or JSON."""
    if dice.random() < 0.5:
        who = dice.choice(sorted(FIELDS_OF_SCANS))
        path = dice.choice(images_of(who))
        cell = _draw_cell("field_strength", FIELDS_OF_SCANS[who], dice)
        table = scans_table(path)
        line = 1 + images_of(who).index(path) if who == "sub-05" else 1
        changed = put(files, table, line, 2, cell[0])
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


CELL: list[Maker] = (
    [participant_cell] * 8 + [session_cell] * 3 + [time_cell] * 2 + [field_cell] * 3 + [identifier_cell]
)
