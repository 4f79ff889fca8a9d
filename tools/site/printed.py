"""What cells print: columns under their heads become tables, everything else stays as it is."""

import html
import re
from itertools import groupby

NUMBER = re.compile(
    r"[-+−<>]?\s?\d[\d.,]*(e[-+]?\d+)?\s?(%|dB|s|Hz)?(?!\S)|–$|-$|(yes|no|True|False|the same|changed)$"
)
LEAST = 0.6  # share of the cells below the head that begin with a number


def printed_html(text):
    """The text as HTML in which every table is a <table>, and its other lines are a <pre>; "" if there is no table.

    >>> printed_html("gain (dB)\\n   r   SI-SDR\\n   2      3.5\\n  10      9.5\\n")[:66]
    '<table class="printed"><caption>gain (dB)</caption><thead><tr><th>'
    >>> printed_html("one\\ntwo\\nthree")
    ''
    """
    parts, found = [], False
    for is_blank, lines in groupby(text.rstrip().split("\n"), lambda line: not line.strip()):
        if not is_blank:
            before, rows, after = first_table(list(lines))
            found = found or bool(rows)
            parts += [table(before, rows), pre(after)] if rows else [pre(before)]
    return "".join(parts) if found else ""


def first_table(lines):
    """The lines before a table, its rows, the head first, and the lines after it; rows are [] where there is none."""
    for last in (len(lines), len(lines) - 1):
        for first in range(max(0, min(3, last - 2))):
            rows = columns(lines[first:last])
            if is_table(rows):
                return lines[:first], rows, lines[last:]
            if first and is_series(rows):  # of pandas: under a caption, and perhaps the name of the index
                return [line for line in lines[:first] if " " in line], [[], *rows], lines[last:]
    return lines, [], []


def columns(lines):
    """The cells of aligned lines, cut where at least two columns of characters are blank in all of them.

    >>> columns(["method  IVA start", "none           27", "room 2         23"])
    [['method', 'IVA start'], ['none', '27'], ['room 2', '23']]
    """
    width = max(map(len, lines))
    lines = [line.ljust(width) for line in lines]
    blank = "".join(" " if all(line[at] == " " for line in lines) else "x" for at in range(width))
    spans = [found.span() for found in re.finditer(r"x+(?: x+)*", blank)]
    rows = [[line[start:end].strip() for start, end in spans] for line in lines]
    if len(rows) > 2 and rows[1][0] and not any(rows[1][1:]):  # the name of an index, as pandas prints it
        rows[:2] = [[rows[1][0], *rows[0][1:]]]
    return rows


def is_table(rows):
    """Whether the first row is a head, and most cells under it are numbers.

    >>> is_table(columns(["a  2 dB", "b  3 dB", "c  4 dB"])), is_table(columns(["r  SDR", "1  2 dB", "2  3 dB"]))
    (False, True)
    """
    if len(rows) < 3 or len(rows[0]) < 2 or not all(rows[0][1:]):
        return False
    head, cells = rows[0][1:], [cell for row in rows[1:] for cell in row[1:] if cell]
    is_headless = any(NUMBER.match(cell) and not cell.isdigit() for cell in head) or is_series(rows)
    is_glued = any("  " in cell or ":" in cell for cell in [*cells, *(row[0] for row in rows if "  " in row[0])])
    numbers = [cell for cell in cells if NUMBER.match(cell)]
    return not is_headless and not is_glued and len(numbers) >= LEAST * len(cells) > 0


def is_series(rows):
    """Whether the rows are names with one number each."""
    return len(rows) > 2 and all(len(row) == 2 and row[0] and NUMBER.fullmatch(row[1]) for row in rows)


def table(before, rows):
    caption = f"<caption>{html.escape(' '.join(line.strip() for line in before))}</caption>" if before else ""
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    top = f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>" if head else ""
    lines = (f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in body)
    return f'<table class="printed">{caption}{top}<tbody>{"".join(lines)}</tbody></table>'


def pre(lines):
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>" if lines else ""
