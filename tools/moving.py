"""Draw figures/04_moving.gif, the picture on top of README.md: two sliders of chapter 04 move, and its picture follows.

    python tools/moving.py

The chapter's own `draw` makes the frames. The comment of the GIF file lists the setting and the text of each frame.
"""

import contextlib
import io
import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from pages import ROOT, code_cells, read
from PIL import Image, ImageDraw, ImageFont

from nmflib.course.figures import drawn, png

CHAPTER = ROOT / "notebooks" / "04_sine_simulation.ipynb"
PICTURE = ROOT / "figures" / "04_moving.gif"
WIDTH, COLOURS = 1440, 64  # twice the pixels that README shows it in
RATES = [
    (1, 2), (2, 4), (3, 6), (5, 8), (7, 11), (10, 15), (14, 20), (18, 25), (23, 31), (15, 17), (9, 9), (3, 3), (2, 2.5),
]  # fmt: skip
LONG = {(1, 2), (23, 31), (3, 3)}  # the settings of the talk, and equal rates: shown for 2 s, the others for 0.6 s
HIGHEST = 40  # rad/s, the right end of the sliders


def chapter_draw():
    """The function that the sliders of the chapter call."""
    code = [cell.source for cell in code_cells(read(CHAPTER)) if "colab" not in cell.metadata.get("tags", ())]
    space = {}
    with contextlib.chdir(CHAPTER.parent), contextlib.redirect_stdout(io.StringIO()):
        while "draw" not in space:
            exec(code.pop(0), space)
    plt.close("all")
    return space["draw"]


def frame(draw, alpha, beta):
    """The picture (PIL image) of one setting, its sliders above it, and its text."""
    figure, text, _ = drawn(draw(α=alpha, β=beta, r=2, divergence="KL"))
    with Image.open(io.BytesIO(png(figure, dpi=WIDTH / figure.get_size_inches()[0]))) as image:
        picture = image.convert("RGB")
    canvas = Image.new("RGB", (WIDTH, picture.height + 190), "white")
    canvas.paste(picture, (0, 130))
    pen = ImageDraw.Draw(canvas)
    for row, (letter, value) in enumerate((("α", alpha), ("β", beta))):
        slider(pen, 36 + 54 * row, f"{letter} = {value:g} rad/s", value / HIGHEST)
    pen.text((20, canvas.height - 30), text, fill="black", font=font(34), anchor="lm")
    return canvas, text


def slider(pen, y, label, share):
    left, right = 320, WIDTH - 50
    handle = left + share * (right - left)
    pen.text((20, y), label, fill="black", font=font(34), anchor="lm")
    pen.rounded_rectangle((left, y - 5, right, y + 5), 5, fill="#d0d0d0")
    pen.rounded_rectangle((left, y - 5, handle, y + 5), 5, fill="#1a73c4")
    pen.ellipse((handle - 18, y - 18, handle + 18, y + 18), fill="white", outline="#1a73c4", width=5)


def font(size):
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def main():
    matplotlib.use("agg")
    draw = chapter_draw()
    images, texts = zip(*(frame(draw, *rates) for rates in RATES), strict=True)
    said = [{"alpha": alpha, "beta": beta, "text": text} for (alpha, beta), text in zip(RATES, texts, strict=True)]
    palette = images[0].quantize(COLOURS, dither=Image.Dither.NONE)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    for image in images:  # the paper is white, not the mean of nearly white pixels
        colours, paper = image.getpalette(), 3 * image.getpixel((0, 0))
        image.putpalette([*colours[:paper], 255, 255, 255, *colours[paper + 3 :]])
    times = [2000 if rates in LONG else 600 for rates in RATES]
    options = {"duration": times, "loop": 0, "optimize": True, "comment": json.dumps(said).encode()}
    images[0].save(PICTURE, save_all=True, append_images=images[1:], **options)
    print(f"{PICTURE.relative_to(ROOT)}: {len(images)} pictures, {PICTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
