"""What a notebook publishes: pictures, sounds, and verdicts on the claims of the talk.

`make run` names a directory in the environment variable NMFLIB_FIGURES, and the functions below write there what they
show. Without it nothing is written: a student's re-run, or a test's, leaves the files as they are.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import math
import operator
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
CLAIM_COLUMNS = ("claim", "notebook", "statement", "measure", "value", "threshold", "verdict")
NOT_YET = "not yet on trial"
MARKS = {"holds": "✓", "holds in part": "◐", "does not hold": "✗", NOT_YET: "…"}

_RELATIONS = {">=": (operator.ge, "≥"), "<=": (operator.le, "≤"), ">": (operator.gt, ">"), "<": (operator.lt, "<")}
_STRIP_WIDTH, _GAP = 900, 12  # pixels of a film strip, and between its frames
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_HEADROOM = 10 ** (-1 / 20)  # the loudest sound of a table peaks at -1 dBFS
_SILENT = -90  # dBFS; below it nothing is heard, and digits would be those of rounding errors


# ---------------------------------------------------------------- pictures


def show(figure: Figure, name: str, alt: str) -> None:
    """Show a figure as PNG with its alternative text in italics beneath it, and close it.

    name : begins with the chapter's number, such as "04_masks"; published as figures/{name}.png
    alt : one sentence that says what is to be seen
    """
    _publish_picture(compact(png(figure)), name, alt)


def film_strip(draw: Callable[..., Any], name: str, alt: str, **values: Any) -> None:
    """Show what `draw` gives for a few values of its controls, as one picture: an `explore` for those who only read.

    draw : as for `explore`; called once per frame
    name, alt : as for `show`
    values : a sequence for each keyword that varies (all of one length, taken together), a scalar for the others

    The output's metadata say where each frame lies in the picture, so that the site can show one at a time.
    """
    frames = _frames(values)
    varying = [key for key, value in values.items() if _is_sequence(value)]
    pictures, captions, said = [], [], []
    for frame in frames:
        figure, text, _ = drawn(draw(**frame))
        natural = figure.get_size_inches()[0] * 100
        columns = _columns(len(frames), natural)
        width = (_STRIP_WIDTH - (columns - 1) * _GAP) / columns
        pictures.append(png(figure, dpi=min(100.0, 100 * width / natural)))
        shown = {key: _shown(frame[key]) for key in varying}
        setting = ", ".join(f"{key} = {value}" for key, value in shown.items())
        captions.append(f"{setting}: {text}" if text else setting)
        said.append({"values": shown, "text": text})
    strip, boxes = _join(pictures, captions, columns)
    metadata = [{**words, "box": box} for words, box in zip(said, boxes, strict=True)]
    _publish_picture(strip, name, alt, captions, metadata)


def png(figure: Figure, dpi: float = 100) -> bytes:
    """The figure as PNG bytes, the same for the same drawing; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def compact(picture: bytes) -> bytes:
    """The PNG with 256 colours, a third of the size for a spectrogram: a notebook of ten stays under 1 MB."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def drawn(result: Any) -> tuple[Figure, str, dict[str, tuple[ArrayLike, int]]]:
    """What a draw function returned, completed to (figure, text, sounds)."""
    from matplotlib.figure import Figure

    parts = result if isinstance(result, tuple) else (result,)
    if not 1 <= len(parts) <= 3 or not isinstance(parts[0], Figure):
        raise ValueError(f"draw returned {result!r}; it must return figure, (figure, text) or (figure, text, sounds)")
    return parts[0], str(parts[1]) if len(parts) > 1 else "", dict(parts[2]) if len(parts) > 2 else {}


def picture_bundle(picture: bytes, alt: str, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data and metadata of one output: the PNG, and `text` where no picture can be shown."""
    return {"image/png": base64.b64encode(picture).decode(), "text/plain": text}, {"image/png": {"alt": alt}}


def show_alt(alt: str) -> None:
    """Show the alternative text as a sentence in italics."""
    _display({"text/html": f"<p><em>{html.escape(alt)}</em></p>", "text/plain": alt})


def _publish_picture(
    picture: bytes, name: str, alt: str, captions: Sequence[str] = (), frames: Sequence[Mapping[str, Any]] = ()
) -> None:
    _check_name(name)
    if not alt.strip():
        raise ValueError(f"alt of {name} is empty; it needs a sentence that says what is to be seen")
    directory = _figures()
    if directory:
        (directory / f"{name}.png").write_bytes(picture)
    data, metadata = picture_bundle(picture, alt, "\n".join([f"figures/{name}.png", *captions]))
    if frames:
        metadata["image/png"]["frames"] = list(frames)
    _display(data, metadata)
    show_alt(alt)


def _columns(n_frames: int, natural: float) -> int:
    """As many frames side by side as can keep 60 % of their natural width, in rows of about equal length."""
    columns = max(1, min(n_frames, int((_STRIP_WIDTH + _GAP) // (0.6 * natural + _GAP))))
    return math.ceil(n_frames / math.ceil(n_frames / columns))


def _join(pictures: Sequence[bytes], captions: Sequence[str], columns: int) -> tuple[bytes, list[list[int]]]:
    """The frames in rows, each above its caption, as one PNG; and left, top, width, height of each in pixels."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 14)
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    width = max(image.width for image in images)
    lines = [_wrap(caption, lambda text: font.getlength(text) <= width - 8) for caption in captions]
    rows = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    heights = [max(images[i].height + 20 * len(lines[i]) for i in row) + _GAP for row in rows]
    strip = Image.new("RGB", (columns * width + (columns - 1) * _GAP, sum(heights)), "white")
    pen, boxes = ImageDraw.Draw(strip), []
    for row, top in zip(rows, accumulate(heights, initial=0), strict=False):
        for column, i in enumerate(row):
            left = column * (width + _GAP)
            strip.paste(images[i], (left, top))
            boxes.append([left, top, images[i].width, images[i].height])
            for number, line in enumerate(lines[i]):
                pen.text((left + 4, top + images[i].height + 20 * number), line, fill="black", font=font)
    buffer = io.BytesIO()
    strip.save(buffer, format="png")
    return compact(buffer.getvalue()), boxes


def _wrap(text: str, fits: Callable[[str], bool]) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and not fits(longer):
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple | range | np.ndarray)


def _frames(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    lengths = {key: len(value) for key, value in values.items() if _is_sequence(value)}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        found = ", ".join(f"{key} has {length}" for key, length in lengths.items()) or "no keyword varies"
        raise ValueError(f"values: {found}; at least one must be a sequence, and all sequences of one length above 0")
    count = next(iter(lengths.values()))
    return [{key: value[i] if key in lengths else value for key, value in values.items()} for i in range(count)]


# ---------------------------------------------------------------- sounds


def listen(sounds: Mapping[str, ArrayLike], sample_rate: int, name: str) -> None:
    """Show a table of players, one per sound, with lengths and levels.

    One gain is common to all sounds of the table, so that their levels compare; the loudest peaks at -1 dBFS.
    Published as MP3; run live, the players hold what was just computed.

    sounds : {label: (n_samples,) or (n_channels, n_samples)}, one or two channels
    sample_rate : Hz, one of those MP3 knows
    name : begins with the chapter's number; published as figures/audio/{name}_{label}.mp3
    """
    _check_name(name)
    if sample_rate not in _MP3_RATES:
        raise ValueError(f"sample_rate is {sample_rate}; MP3 needs one of {', '.join(map(str, _MP3_RATES))}")
    files = {label: f"{name}_{_slug(label)}.mp3" for label in sounds}
    if len(set(files.values())) < len(files):
        raise ValueError(f"sounds: two of the labels {list(sounds)} would give the same file name")
    scaled = common_gain(sounds)
    directory = _figures()
    if directory:
        import soundfile

        (directory / "audio").mkdir(exist_ok=True)
        for label, sound in scaled.items():
            soundfile.write(directory / "audio" / files[label], sound.T, sample_rate, format="MP3")
    rows = [(label, files[label], *_length_and_levels(sound, sample_rate)) for label, sound in scaled.items()]
    bundle: dict[str, Any] = {
        "text/html": _sound_table(rows),
        "text/plain": "\n".join(f"{label}: {length}, {levels}" for label, _, length, levels in rows),
    }
    if not directory:
        box = players({label: (sound, sample_rate) for label, sound in scaled.items()})
        bundle["application/vnd.jupyter.widget-view+json"] = widget_view(box)
    _display(bundle)


def common_gain(sounds: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """The sounds as (n_channels, n_samples), scaled together so that the loudest peaks at -1 dBFS; silence stays."""
    checked = {label: _sound(sound, label) for label, sound in sounds.items()}
    if not checked:
        raise ValueError("sounds is empty; it needs at least one {label: array}")
    peak = max(float(np.abs(sound).max()) for sound in checked.values())
    return {label: sound / peak * _HEADROOM if peak else sound for label, sound in checked.items()}


def players(sounds: Mapping[str, tuple[NDArray[np.float64], int]]) -> Any:
    """A box of labelled audio widgets for {label: ((n_channels, n_samples), sample_rate)}, already scaled."""
    import ipywidgets as widgets
    import soundfile

    rows = []
    for label, (sound, sample_rate) in sounds.items():
        buffer = io.BytesIO()
        soundfile.write(buffer, sound.T, sample_rate, format="WAV", subtype="PCM_16")
        player = widgets.Audio(value=buffer.getvalue(), format="wav", autoplay=False, loop=False)
        rows.append(widgets.HBox([widgets.Label(label, layout={"min_width": "12em"}), player]))
    return widgets.VBox(rows)


def widget_view(box: Any) -> dict[str, Any]:
    """The entry of a display bundle that shows a live widget."""
    return {"version_major": 2, "version_minor": 0, "model_id": box.model_id}


def _sound(sound: ArrayLike, label: str) -> NDArray[np.float64]:
    array = np.atleast_2d(np.asarray(sound, dtype=np.float64))
    if array.ndim != 2 or array.shape[0] > 2 or not array.size:
        raise ValueError(
            f"sounds[{label!r}] has shape {np.shape(sound)}; it needs (n_samples,) or (n_channels, n_samples), "
            "one or two channels, at least one sample"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"sounds[{label!r}] has {np.sum(~np.isfinite(array))} values that are not finite")
    return array


def _length_and_levels(sound: NDArray[np.float64], sample_rate: int) -> tuple[str, str]:
    """For instance ("2.5 s", "peak −1 dBFS, RMS −4 dBFS")."""
    peak, rms = (_decibel(value) for value in (np.abs(sound).max(), np.sqrt(np.mean(sound**2))))
    levels = f"peak {peak:.0f} dBFS, RMS {rms:.0f} dBFS" if rms > _SILENT else "silent"
    return f"{sound.shape[1] / sample_rate:.1f} s", levels.replace("-", "−")


def _decibel(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _sound_table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{html.escape(label)}</th>'
        f'<td><audio controls preload="none" src="../figures/audio/{file}"></audio></td>'
        f'<td>{length}</td><td>{levels}</td><td><a href="../figures/audio/{file}">MP3</a></td></tr>'
        for label, file, length, levels in rows
    )
    heads = "".join(f"<th>{head}</th>" for head in ("sound", "listen", "length", "level", "file"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _slug(label: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")
    if not slug:
        raise ValueError(f"sounds: the label {label!r} has no letter or digit to name a file by")
    return slug


# ---------------------------------------------------------------- verdicts


@dataclass(frozen=True)
class Check:
    """One measurement against what is needed; a value that is not finite never holds.

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
        """The value in few digits; within 1e-9 of zero, where digits are those of rounding errors, only a bound."""
        bound = min(1e-9, self.threshold) if self.relation in ("<=", "<") and self.threshold > 0 else 1e-9
        if 0 < abs(self.value) < bound:
            return f"{'above' if self.value > 0 else 'below'} 0 by less than {self._with_unit(_shown(bound))}"
        return self._with_unit(_shown(self.value, self.digits))

    @property
    def shown_threshold(self) -> str:
        return f"{_RELATIONS[self.relation][1]} {self._with_unit(_shown(self.threshold))}"

    def _with_unit(self, number: str) -> str:
        return f"{number} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.measure}: {self.shown_value} (needed: {self.shown_threshold})"


def verdict(claim: str, *checks: Check, why: str = "") -> None:
    """Show whether a claim of the talk holds: all checks hold, some do, or none.

    claim : "C1" to "C18"; its words are read from data/talk_claims.csv. Published as a row of figures/claims.csv
    why : what explains the result, shown beneath it
    """
    talk = {row["claim"]: row for row in read_table(ROOT / "data" / "talk_claims.csv")}
    if claim not in talk:
        raise ValueError(f"claim is {claim!r}; it must be one of {', '.join(talk)}")
    if not checks:
        raise ValueError(f"checks: {claim} needs at least one Check")
    held = sum(check.holds for check in checks)
    outcome = "holds" if held == len(checks) else "holds in part" if held else "does not hold"
    row = {
        "claim": claim,
        "notebook": talk[claim]["notebook"],
        "statement": talk[claim]["statement"],
        "measure": "; ".join(check.measure for check in checks),
        "value": "; ".join(check.shown_value for check in checks),
        "threshold": "; ".join(check.shown_threshold for check in checks),
        "verdict": outcome,
    }
    directory = _figures()
    if directory:
        file = directory / "claims.csv"
        write_claims(file, [*(old for old in read_table(file) if old["claim"] != claim), row])
    plain = [f"{column}: {row[column]}" for column in CLAIM_COLUMNS]
    _display({"text/html": _verdict_box(row, talk[claim]["slide"], checks, why), "text/plain": "\n".join(plain)})


def claims_table() -> None:
    """Show all claims of the talk with their verdicts."""
    table = claims_markdown(links="")
    _display({"text/markdown": table, "text/plain": table})


def claims_markdown(root: Path = ROOT, links: str = "notebooks/") -> str:
    """All claims with their verdicts as a Markdown table; `links` is the way to the notebooks."""
    published = {row["claim"]: row for row in read_table(root / "figures" / "claims.csv")}
    lines = ["| | the talk says | notebook | measured | verdict |", "|---|---|---|---|---|"]
    for talk in read_table(root / "data" / "talk_claims.csv"):
        row = published.get(talk["claim"], {"verdict": NOT_YET, "measure": "", "value": "", "threshold": ""})
        parts = zip(*(row[column].split("; ") for column in ("measure", "value", "threshold")), strict=True)
        measured = "<br>".join(f"{m}: {v} (needed: {t})" for m, v, t in parts if m)
        notebook = talk["notebook"][:2]
        if (root / "notebooks" / f"{talk['notebook']}.ipynb").exists():
            notebook = f"[{notebook}]({links}{talk['notebook']}.ipynb)"
        says = f"{talk['statement']}<br>*« {talk['slide']} »*"
        cells = (talk["claim"], says, notebook, measured, f"{MARKS[row['verdict']]} {row['verdict']}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none if there is no such file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_claims(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the rows of claims.csv in the order of the claims."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CLAIM_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: int(row["claim"][1:])))


def _verdict_box(row: Mapping[str, str], slide: str, checks: Sequence[Check], why: str) -> str:
    cells = "".join(
        f"<tr><td>{html.escape(check.measure)}</td><td>{html.escape(check.shown_value)}</td>"
        f"<td>{html.escape(check.shown_threshold)}</td><td>{'✓ yes' if check.holds else '✗ no'}</td></tr>"
        for check in checks
    )
    head = f"Verdict {row['claim']}: {MARKS[row['verdict']]} {row['verdict']}"
    reason = f"<p>{html.escape(why)}</p>" if why else ""
    return (
        '<div style="border: 1px solid #888; border-left-width: 6px; padding: 0.5em 1em">'
        f"<p><strong>{head}</strong></p>"
        f'<p>{html.escape(row["statement"])}<br><em lang="fr">« {html.escape(slide)} »</em></p>'
        "<table><thead><tr><th>measure</th><th>found</th><th>needed</th><th>reached</th></tr></thead>"
        f"<tbody>{cells}</tbody></table>{reason}</div>"
    )


# ---------------------------------------------------------------- common


def _figures() -> Path | None:
    """The directory to publish in, or None."""
    name = os.environ.get("NMFLIB_FIGURES")
    return Path(name) if name else None


def _check_name(name: str) -> None:
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", name):
        raise ValueError(f"name is {name!r}; it needs two digits, _ and small letters, such as '04_masks'")


def _shown(value: Any, digits: int = 3) -> str:
    """A number in few significant digits, other values as they are.

    >>> [_shown(number) for number in (0.123456, 30.26, -17161, 12345.6, 2.5e-5, "hann")]
    ['0.123', '30.3', '-17161', '12300', '2.5e-5', 'hann']
    """
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    if math.isfinite(number) and number == round(number) and abs(number) < 1e6:
        return str(round(number))
    rounded = float(f"{number:.{digits}g}")
    return f"{rounded:.0f}" if 1000 <= abs(rounded) < 1e6 else f"{rounded:g}".replace("e-0", "e-")


def _display(data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
    from IPython.display import display

    display(dict(data), metadata=dict(metadata or {}), raw=True)
