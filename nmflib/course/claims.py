"""Verdicts on the claims of the talk, and the table of all of them."""

from __future__ import annotations

import csv
import html
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nmflib.course.figures import display_bundle, publish_directory, shown
from nmflib.course.scenes import collection, data_folder, of_collection

CLAIM_COLUMNS = ("claim", "notebook", "statement", "measure", "value", "threshold", "verdict")
NOT_YET = "not yet on trial"

_RELATIONS = {">=": (operator.ge, "≥"), "<=": (operator.le, "≤"), ">": (operator.gt, ">"), "<": (operator.lt, "<")}


@dataclass(frozen=True)
class Check:
    """One measured value and its threshold; a value that is not finite never holds.

    relation : ">=", "<=", ">" or "<"
    digits : significant digits shown

    >>> Check("SDR of source 1", 30.26, ">=", 25, "dB").holds
    True
    >>> str(Check("SDR of source 1", 30.26, ">=", 25, "dB"))
    'SDR of source 1: 30.3 dB (needed: ≥ 25 dB)'
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
        for text in (self.measure, self.unit):
            if ";" in text or "\n" in text:
                raise ValueError(f"measure and unit must be one line without a semicolon; found {text!r}")
        object.__setattr__(self, "value", float(self.value))

    @property
    def holds(self) -> bool:
        return math.isfinite(self.value) and bool(_RELATIONS[self.relation][0](self.value, self.threshold))

    @property
    def shown_value(self) -> str:
        """The value in few digits; within 1e-9 of zero, where digits are rounding errors, only a bound."""
        bound = min(1e-9, self.threshold) if self.relation in ("<=", "<") and self.threshold > 0 else 1e-9
        if 0 < abs(self.value) < bound:
            return f"{'above' if self.value > 0 else 'below'} 0 by less than {self._with_unit(shown(bound))}"
        return self._with_unit(shown(self.value, self.digits))

    @property
    def shown_threshold(self) -> str:
        return f"{_RELATIONS[self.relation][1]} {self._with_unit(shown(self.threshold))}"

    def _with_unit(self, number: str) -> str:
        return f"{number} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.measure}: {self.shown_value} (needed: {self.shown_threshold})"


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
    decisive = [replace(check, measure=f"{case}: {check.measure}") for case, check in cases.items()]
    every = [*decisive, *context]
    row = {
        "claim": claim,
        "notebook": talk[claim]["notebook"],
        "statement": talk[claim]["statement"],
        "measure": "; ".join(check.measure for check in every),
        "value": "; ".join(check.shown_value for check in every),
        "threshold": "; ".join(check.shown_threshold for check in every),
        "verdict": outcome({case: check.holds for case, check in cases.items()}),
    }
    directory = publish_directory()
    if directory:
        file = directory / "claims.csv"
        write_claims(file, [*(old for old in read_table(file) if old["claim"] != claim), row])
    plain = [f"{column}: {row[column]}" for column in CLAIM_COLUMNS]
    shown_checks = [(check, check in decisive) for check in every]
    box = _verdict_box(row, talk[claim]["slide"], shown_checks, why)
    display_bundle({"text/html": box, "text/plain": "\n".join(plain)})


def outcome(held: Mapping[str, bool]) -> str:
    """The verdict in words, from which cases hold.

    >>> outcome({"two talkers": True, "two instruments": True, "three talkers": False})
    'holds for two talkers and two instruments, not for three talkers'
    """
    yes, no = ([case for case, holds in held.items() if holds == wanted] for wanted in (True, False))
    if not (yes and no):
        return "holds" if yes else "does not hold"
    return f"holds for {_listed(yes)}, not for {_listed(no)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def mark(verdict: str) -> str:
    """The sign of a verdict: ✓ holds, ✗ does not hold, ◐ holds for some cases, … not yet on trial."""
    return {"holds": "✓", "does not hold": "✗", NOT_YET: "…"}.get(verdict, "◐")


def claims_table() -> None:
    """Show all claims of the talk with their verdicts, one line each."""
    table = claims_summary(links="")
    display_bundle({"text/markdown": table, "text/plain": table})


def claims_markdown(root: Path | None = None, links: str = "notebooks/") -> str:
    """All claims with their verdicts as a Markdown table; `links` is the way to the notebooks."""
    talk_claims = read_table((root / "data" if root else data_folder()) / "talk_claims.csv")
    root = root or collection()
    published = {row["claim"]: row for row in read_table(root / "figures" / "claims.csv")}
    lines = ["| | the talk says | notebook | measured | verdict |", "|---|---|---|---|---|"]
    for talk in talk_claims:
        row = published.get(talk["claim"], {"verdict": NOT_YET, "measure": "", "value": "", "threshold": ""})
        parts = zip(*(row[column].split("; ") for column in ("measure", "value", "threshold")), strict=True)
        measured = "<br>".join(f"{m}: {v} (needed: {t})" for m, v, t in parts if m)
        notebook = talk["notebook"][:2]
        if (root / "notebooks" / f"{talk['notebook']}.ipynb").exists():
            notebook = f"[{notebook}]({links}{talk['notebook']}.ipynb)"
        says = f"{talk['statement']}<br>*« {talk['slide']} »*"
        cells = (talk["claim"], says, notebook, measured, f"{mark(row['verdict'])} {row['verdict']}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def claims_summary(root: Path | None = None, links: str = "notebooks/") -> str:
    """All claims as a Markdown table of four short columns: number, one plain sentence, verdict, chapter."""
    talk_claims = read_table((root / "data" if root else data_folder()) / "talk_claims.csv")
    root = root or collection()
    published = {row["claim"]: row["verdict"] for row in read_table(root / "figures" / "claims.csv")}
    lines = ["| claim | the talk says | verdict | chapter |", "|---|---|---|---|"]
    for talk in talk_claims:
        found = published.get(talk["claim"], NOT_YET)
        chapter = f"[{talk['notebook'][:2]}]({links}{talk['notebook']}.ipynb)"
        short = f"{mark(found)}&nbsp;{found.removeprefix('holds ')}"
        cells = (talk["claim"], talk["statement"].replace("|", "\\|"), short, chapter)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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


def _verdict_box(row: Mapping[str, str], slide: str, checks: Sequence[tuple[Check, bool]], why: str) -> str:
    cells = "".join(
        f"<tr><td>{html.escape(check.measure)}</td><td>{html.escape(check.shown_value)}</td>"
        f"<td>{html.escape(check.shown_threshold)}</td>"
        f"<td>{'✓ yes' if check.holds else '✗ no'}{'' if decides else ' (context)'}</td></tr>"
        for check, decides in checks
    )
    head = f"Verdict {row['claim']}: {mark(row['verdict'])} {row['verdict']}"
    reason = f"<p>{html.escape(why)}</p>" if why else ""
    return (
        '<div style="border: 1px solid #888; border-left-width: 6px; padding: 0.5em 1em">'
        f"<p><strong>{head}</strong></p>"
        f'<p>{html.escape(row["statement"])}<br><em lang="fr">« {html.escape(slide)} »</em></p>'
        "<table><thead><tr><th>measure</th><th>found</th><th>needed</th><th>reached</th></tr></thead>"
        f"<tbody>{cells}</tbody></table>{reason}</div>"
    )
