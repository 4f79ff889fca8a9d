"""The tables of chapter 00: the notebook of each slide, and the origin of each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nmflib.course.claims import read_table
from nmflib.course.figures import display_bundle
from nmflib.course.scenes import data_folder, manifest


def slides_table() -> None:
    """Show the slides of the talk, and the notebook of each with its question."""
    slides = read_table(data_folder() / "talk_slides.csv")
    rows = [[row["slides"], f"[{row['notebook']}]({row['notebook']}.ipynb)", row["question"]] for row in slides]
    _show(["slide of the talk", "notebook", "question"], rows)


def clips_table() -> None:
    """Show the clips of data/: channels, seconds, origin and licence; the simulated ones last."""
    rows = [
        [name, clip["channels"], f"{float(clip['duration_s']):.1f}", kind(clip), clip["licence"]]
        for name, clip in manifest().items()
    ]
    _show(["clip", "channels", "s", "kind", "licence"], sorted(rows, key=lambda row: ("room" in row[3], row[3])))


def kind(clip: Mapping[str, str]) -> str:
    """The origin of a clip, from its row of the manifest."""
    if "SIMULATED" in clip["role"]:
        return "recordings in a simulated room"
    if "MEASURED" in clip["role"]:
        return "recordings through measured responses"
    return "recorded notes, set in sequence" if "sequenced" in clip["attribution"] else "recording or studio track"


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]
    table = "\n".join(lines)
    display_bundle({"text/markdown": table, "text/plain": table})
