"""Controls, a picture, a text and sounds as one output, which is still a PNG where widgets cannot run."""

from __future__ import annotations

import html
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from nmflib.course.figures import compact, display_bundle, drawn, picture_bundle, png, show_alt, widget_view
from nmflib.course.listen import common_gain, players

_KEPT = 32  # results that are remembered


def explore(draw: Callable[..., Any], alt: str, **controls: Any) -> None:
    """Show `controls` above what `draw` gives for their values, and draw again when one of them changes.

    draw : called with the values of the controls by name; returns a figure, (figure, text) or (figure, text, sounds),
        where sounds = {label: (samples, sample_rate)}. A ValueError it raises is shown as a sentence.
    alt : one sentence that says what is to be seen
    controls : ipywidgets, such as n_components=IntSlider(value=4, min=1, max=12)
    """
    publish(*_build(draw, controls), alt)


def publish(box: Any, picture: bytes, text: str, alt: str) -> None:
    """One output: the live box, and where it cannot live the picture, or the text."""
    data, metadata = picture_bundle(compact(picture), alt, "\n".join(filter(None, [alt, text])))
    data["application/vnd.jupyter.widget-view+json"] = widget_view(box)
    display_bundle(data, metadata)
    show_alt(alt)


def _build(draw: Callable[..., Any], controls: dict[str, Any]) -> tuple[Any, bytes, str]:
    """The live box, and picture and text of the default values."""
    import ipywidgets as widgets

    for name, control in controls.items():
        control.description = control.description or name
        control.style.description_width = "initial"
        if control.has_trait("readout"):  # a long label must not squeeze the slider
            control.layout.width = "min(32em, 100%)"
        if control.has_trait("continuous_update"):
            control.continuous_update = False

    image = widgets.Image(format="png", layout={"max_width": "100%"})
    caption, sounding = widgets.HTML(), widgets.VBox()
    compute = _remembering(lambda values: _render(draw(**values)))

    def update(_change: Any = None) -> tuple[bytes, str]:
        picture, text, rows = compute({name: control.value for name, control in controls.items()})
        image.value, image.layout.display = picture, ""
        caption.value = paragraph(text)
        sounding.children = rows
        return picture, text

    def update_or_explain(_change: Any) -> None:
        try:
            update()
        except ValueError as error:
            image.layout.display = "none"
            caption.value = paragraph(f"⚠ This setting cannot be drawn: {error}")
            sounding.children = ()

    picture, text = update()
    for control in controls.values():
        control.observe(update_or_explain, "value")
    return widgets.VBox([*controls.values(), image, caption, sounding]), picture, text


def _render(result: Any) -> tuple[bytes, str, tuple[Any, ...]]:
    """PNG, text and rows of players of what draw returned."""
    figure, text, sounds = drawn(result)
    picture = png(figure, dpi=90)
    if not sounds:
        return picture, text, ()
    scaled = common_gain({label: sound for label, (sound, _) in sounds.items()})
    return picture, text, players({label: (scaled[label], rate) for label, (_, rate) in sounds.items()}).children


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>".replace("\n", "<br>") if text else ""


def _remembering(compute: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """`compute`, with the last results kept; values that cannot be a key (an uploaded file) are computed each time."""
    kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def remembered(values: dict[str, Any]) -> Any:
        key = tuple(values.values())
        try:
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        except TypeError:
            return compute(values)
        kept[key] = compute(values)
        if len(kept) > _KEPT:
            kept.popitem(last=False)
        return kept[key]

    return remembered
