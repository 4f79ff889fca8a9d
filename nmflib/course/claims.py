"""Verdicts on the claims of the talk; the tables of claims, slides and clips."""

import csv
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from nmflib.course.figures import display_bundle, published, shown
from nmflib.course.scenes import collection, data_folder, manifest, of_collection

CLAIM_COLUMNS = ("claim", "notebook", "statement", "measure", "value", "threshold", "verdict")
NOT_YET = "not yet on trial"

_RELATIONS = {">=": (operator.ge, "≥"), "<=": (operator.le, "≤"), ">": (operator.gt, ">"), "<": (operator.lt, "<")}


@dataclass(frozen=True)
class Check:
    """One measured value and its threshold; a value that is not finite never holds.

    relation : ">=", "<=", ">" or "<"
    digits : significant digits shown

    >>> check = Check("SDR of source 1", 30.26, ">=", 25, "dB")
    >>> check.holds, check.shown_value, check.shown_threshold
    (True, '30.3 dB', '≥ 25 dB')
    """

    measure: str
    value: float
    relation: str
    threshold: float
    unit: str = ""
    digits: int = 3

    def __post_init__(self) -> None:
        if self.relation not in _RELATIONS:
            raise ValueError(f"relation is {self.relation!r}; it must be one of {', '.join(_RELATIONS)}")
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold is {self.threshold}; it must be finite")
        if set(";\n") & set(self.measure + self.unit):
            raise ValueError(f"measure and unit must be one line without a semicolon: {self.measure!r}, {self.unit!r}")

    @property
    def holds(self) -> bool:
        return math.isfinite(self.value) and bool(_RELATIONS[self.relation][0](self.value, self.threshold))

    @property
    def shown_value(self) -> str:
        """The value in few digits; within 1e-9 of zero, where digits are rounding errors, only a bound."""
        value = float(self.value)
        bound = min(1e-9, self.threshold) if self.relation in ("<=", "<") and self.threshold > 0 else 1e-9
        if 0 < abs(value) < bound:
            return f"{'above' if value > 0 else 'below'} 0 by less than {shown(bound)} {self.unit}".rstrip()
        return f"{shown(value, self.digits)} {self.unit}".rstrip()

    @property
    def shown_threshold(self) -> str:
        return f"{_RELATIONS[self.relation][1]} {shown(self.threshold)} {self.unit}".rstrip()


def verdict(claim: str, *context: Check, cases: Mapping[str, Check], why: str = "") -> None:
    """Show whether a claim of the talk holds, and publish it as a row of figures/claims.csv.

    claim : "C1" to "C18"; its words are read from data/talk_claims.csv
    context : checks that are shown beside the verdict and decide nothing
    cases : one decisive check for each case of the claim, such as {"two talkers": Check(…)}. The claim holds, does not
        hold, or holds for some cases and not for others.
    why : an explanation of the result, shown beneath it
    """
    talk = {row["claim"]: row for row in read_table(data_folder() / "talk_claims.csv")}
    if claim not in talk:
        raise ValueError(f"claim is {claim!r}; it must be one of {', '.join(talk)}")
    if not cases:
        raise ValueError(f"cases: {claim} needs at least one case with a Check")
    every = [*(replace(check, measure=f"{case}: {check.measure}") for case, check in cases.items()), *context]
    row = {
        **{column: talk[claim][column] for column in ("claim", "notebook", "statement")},
        "measure": "; ".join(check.measure for check in every),
        "value": "; ".join(check.shown_value for check in every),
        "threshold": "; ".join(check.shown_threshold for check in every),
        "verdict": outcome({case: check.holds for case, check in cases.items()}),
    }
    file = published("claims.csv")
    if file:
        write_claims(file, [*(old for old in read_table(file) if old["claim"] != claim), row])
    checks = "".join(
        f"<tr><td>{escape(check.measure)}</td><td>{escape(check.shown_value)}</td>"
        f"<td>{escape(check.shown_threshold)}</td>"
        f"<td>{'✓ yes' if check.holds else '✗ no'}{'' if number < len(cases) else ' (context)'}</td></tr>"
        for number, check in enumerate(every)
    )
    box = (
        '<div style="border: 1px solid #888; border-left-width: 6px; padding: 0.5em 1em">'
        f"<p><strong>Verdict {claim}: {mark(row['verdict'])} {row['verdict']}</strong></p>"
        f'<p>{escape(row["statement"])}<br><em lang="fr">« {escape(talk[claim]["slide"])} »</em></p>'
        "<table><thead><tr><th>measure</th><th>found</th><th>needed</th><th>reached</th></tr></thead>"
        f"<tbody>{checks}</tbody></table>{f'<p>{escape(why)}</p>' if why else ''}</div>"
    )
    plain = "\n".join(f"{column}: {row[column]}" for column in CLAIM_COLUMNS)
    display_bundle({"text/html": box, "text/plain": plain})


def outcome(held: Mapping[str, bool]) -> str:
    """The verdict in words, from which cases hold.

    >>> outcome({"two talkers": True, "two instruments": True, "three talkers": False})
    'holds for two talkers and two instruments, not for three talkers'
    """
    if len(set(held.values())) == 1:
        return "holds" if all(held.values()) else "does not hold"
    yes, no = ([case for case, holds in held.items() if holds == wanted] for wanted in (True, False))
    return f"holds for {_listed(yes)}, not for {_listed(no)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def mark(verdict: str) -> str:
    """The sign of a verdict: ✓ holds, ✗ does not hold, ◐ holds for some cases, … not yet on trial."""
    return {"holds": "✓", "does not hold": "✗", NOT_YET: "…"}.get(verdict, "◐")


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file of the collection; of claims.csv none until a verdict is published in its folder."""
    if file.name == "claims.csv" and file.parent.is_dir() and not file.exists():
        return []
    with of_collection(file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_claims(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the rows of claims.csv in the order of the claims; an old file is replaced when the new one is complete."""
    temporary = file.with_name(file.name + ".part")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CLAIM_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: int(row["claim"][1:])))
    temporary.replace(file)


def claims_markdown(root: Path) -> str:
    """All claims of the collection in `root` with what was measured, as a Markdown table."""
    rows = []
    for row in _claims(root):
        says = f"{row['statement']}<br>*« {row['slide']} »*"
        parts = zip(*(row[column].split("; ") for column in ("measure", "value", "threshold")), strict=True)
        measured = "<br>".join(f"{m}: {v} (needed: {t})" for m, v, t in parts if m)
        chapter = f"[{row['notebook'][:2]}](notebooks/{row['notebook']}.ipynb)"
        rows.append([row["claim"], says, chapter, measured, f"{mark(row['verdict'])} {row['verdict']}"])
    return _markdown("| | the talk says | notebook | measured | verdict |\n|---|---|---|---|---|", rows)


def claims_summary(root: Path | None = None, links: str = "notebooks/") -> str:
    """All claims as a Markdown table of four short columns; `links` is the way to the notebooks."""
    rows = []
    for row in _claims(root):
        short = f"{mark(row['verdict'])}&nbsp;{row['verdict'].removeprefix('holds ')}"
        chapter = f"[{row['notebook'][:2]}]({links}{row['notebook']}.ipynb)"
        rows.append([row["claim"], row["statement"], short, chapter])
    return _markdown("| claim | the talk says | verdict | chapter |\n|---|---|---|---|", rows)


def _claims(root: Path | None) -> list[dict[str, str]]:
    """The claims of the talk, each with its row of figures/claims.csv if there is one."""
    talk = read_table((root / "data" if root else data_folder()) / "talk_claims.csv")
    published = {row["claim"]: row for row in read_table((root or collection()) / "figures" / "claims.csv")}
    nothing = {"measure": "", "value": "", "threshold": "", "verdict": NOT_YET}
    return [nothing | published.get(row["claim"], {}) | row for row in talk]


def _markdown(head: str, rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that begins with the two lines of `head`."""
    return "\n".join([head, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])


def claims_table() -> None:
    """Show all claims of the talk with their verdicts, one line each."""
    _show(claims_summary(links=""))


def slides_table() -> None:
    """Show the slides of the talk, and the notebook of each with its question."""
    slides = read_table(data_folder() / "talk_slides.csv")
    rows = [[row["slides"], f"[{row['notebook']}]({row['notebook']}.ipynb)", row["question"]] for row in slides]
    _show(_markdown("| slide of the talk | notebook | question |\n| --- | --- | --- |", rows))


def clips_table() -> None:
    """Show the clips of data/: channels, seconds, origin and licence; the simulated ones last."""

    def kind(clip: Mapping[str, str]) -> str:
        if "SIMULATED" in clip["role"]:
            return "recordings in a simulated room"
        if "MEASURED" in clip["role"]:
            return "recordings through measured responses"
        return "recorded notes, set in sequence" if "sequenced" in clip["attribution"] else "recording or studio track"

    rows = [
        [name, clip["channels"], f"{float(clip['duration_s']):.1f}", kind(clip), clip["licence"]]
        for name, clip in manifest().items()
    ]
    rows.sort(key=lambda row: ("room" in row[3], row[3]))
    _show(_markdown("| clip | channels | s | kind | licence |\n| --- | --- | --- | --- | --- |", rows))


def _show(table: str) -> None:
    display_bundle({"text/markdown": table, "text/plain": table})
