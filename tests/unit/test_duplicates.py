"""No two places of library, rules and scripts have twelve equal lines: what they share is one thing."""

from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflow"
SOURCES = [path for end in ("py", "smk") for path in sorted(WORKFLOW.rglob(f"*.{end}"))]
LINES = 12


def lines_of(text):
    """The lines that say something, each with its number: no blank ones, comments, imports, lone brackets."""
    kept = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    boring = ("#", "import ", "from ")
    return [(number, line) for number, line in kept if line.strip("()[]{}, ") and not line.startswith(boring)]


def find_duplicates(texts):
    """Pairs of places, as name and number of the first line, from which twelve lines are equal."""
    seen, found, last = {}, [], None
    for name, text in texts.items():
        lines = lines_of(text)
        for start in range(len(lines) - LINES + 1):
            window = tuple(line for _, line in lines[start : start + LINES])
            other = seen.setdefault(window, (name, start, lines[start][0]))
            place = (name, start)
            if other[:2] != place:
                if last != (name, start - 1, other[0], other[1] - 1):
                    found.append(f"{other[0]}:{other[2]} = {name}:{lines[start][0]}")
                last = (name, start, other[0], other[1])
    return found


def test_nothing_is_there_twice():
    texts = {path.relative_to(WORKFLOW).as_posix(): path.read_text(encoding="utf-8") for path in SOURCES}
    assert find_duplicates(texts) == []


def test_twelve_equal_lines_are_found_wherever_they_stand_and_eleven_are_not():
    block = [f"call({number})" for number in range(LINES)]
    text = "\n    ".join(["def one():", *block])
    moved = "\n\n".join(["# of another indent", *block, "last()"])
    assert find_duplicates({"a.py": text, "b.py": moved}) == ["a.py:2 = b.py:3"]
    assert find_duplicates({"a.py": "\n".join([*block, "between()", *block])}) == ["a.py:1 = a.py:14"]
    assert find_duplicates({"a.py": text, "b.py": moved.replace("call(5)", "call(55)")}) == []
