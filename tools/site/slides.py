"""Build the slides in build/slides: open index.html, no kernel and no network needed.

python tools/site/slides.py

One deck for each chapter, and three talks of 45, 90 and 180 minutes. The talks follow the rows of TEACHING.md: their
order, their minutes, what is asked and answered; which slides of a chapter are shown, the words of its row decide.
"""

import html
import re
import shutil
import sys
import time
from dataclasses import dataclass, replace

import jinja2
from build import explorer
from cut import ROWS, WORDS, Chapter, Slide, rendered, words
from grids import all_grids
from web import BUILD, ROOT, install, install_mathjax, megabytes, sources, web_notebook

from nmflib.course.claims import NOT_YET, mark, read_table

SLIDES = BUILD / "slides"
TEMPLATES = ROOT / "tools" / "site" / "slides"
TALKS = {45: "A", 90: "AB", 180: "ABC"}  # minutes -> which rows of TEACHING.md
REVEAL = (
    *("LICENSE", "dist/*.css", "dist/reveal.js", "dist/theme/white.css", "dist/theme/fonts/source-sans-pro/*.*"),
    "plugin/notes/notes.js",
)
PER_SLIDE = 2  # minutes of a talk
COMMON = {"does", "from", "than", "what", "which", "with"}


@dataclass(frozen=True)
class Row:
    """A row of TEACHING.md's plan, in Markdown; `chapter` is the name of its notebook without .ipynb."""

    minutes: int
    part: str
    chapter: str
    shown: str
    asked: str
    answer: str


@dataclass(frozen=True)
class Part:
    """What stands under one entry of a table of contents; `at` is the minute at which it begins."""

    title: str
    slides: tuple
    at: float
    minutes: float


def main():
    start = time.perf_counter()
    shutil.rmtree(SLIDES, ignore_errors=True)
    shutil.copytree(ROOT / "figures", SLIDES / "figures")
    print("the figures with controls …", flush=True)
    grids = all_grids()
    for folder, _ in grids.values():
        shutil.copytree(folder, SLIDES / "grids" / folder.name, ignore=shutil.ignore_patterns("*.json", "key"))
    chapters = {source.stem: Chapter(with_grids(source, grids)) for source in sources()}
    teaching = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
    talks = {}
    for minutes, letters in TALKS.items():
        title = f"NMF, put on trial: {minutes} minutes"
        talks[f"talk-{minutes}"] = title, talk(teaching, minutes, letters, chapters), minutes
    decks = {name: (chapter.title, chapter_parts(chapter), chapter.minutes) for name, chapter in chapters.items()}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters |= {"markdown": markdown, "line": line, "minute": round}
    environment.filters["plain"] = lambda text: re.sub("[$*]", "", text)
    for name, (title, parts, minutes) in (talks | decks).items():
        page = environment.get_template("deck.html").render(title=title, parts=parts, minutes=minutes)
        (SLIDES / f"{name}.html").write_text(page, encoding="utf-8")
    page = environment.get_template("index.html").render(talks=talks, decks=decks, counted=counted)
    (SLIDES / "index.html").write_text(page, encoding="utf-8")
    install_mathjax(SLIDES / "mathjax")
    install("sphinx_revealjs", "_static/revealjs", REVEAL, SLIDES / "reveal")
    shared = [ROOT / "tools" / "site" / "static" / name for name in ("frames.js", "explore.js", "icon.svg")]
    for file in (*TEMPLATES.glob("slides.*"), *shared):
        shutil.copyfile(file, SLIDES / file.name)
    count = [sum(counted(parts) for _, parts, _ in kind.values()) for kind in (talks, decks)]
    print(
        f"build/slides/index.html: {len(talks)} talks of {count[0]} slides, {len(decks)} chapters of {count[1]}; "
        f"{megabytes(SLIDES):.0f} MB, {time.perf_counter() - start:.0f} s"
    )


def with_grids(source, grids):
    """The notebook as the web wants it, with controls in place of the film strip above them where there is a grid."""
    notebook = web_notebook(source, SLIDES / "figures")
    strip = None
    for number, cell in enumerate(notebook.cells):
        texts = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", ())]
        for k, text in enumerate(texts):
            if "data-frames" in text:
                strip = cell, k
            elif '<span class="live">' in text and (source.stem, number) in grids:
                folder, grid = grids[source.stem, number]
                alt = re.search(r'alt="(.*?)"', text)[1]
                at = strip if strip and strip[0] in notebook.cells[number - 1 : number + 1] else (cell, k)
                at[0].outputs[at[1]].data["text/html"] = explorer(f"../grids/{folder.name}/", grid, alt)
    return notebook


def plan(teaching):
    """The rows of TEACHING.md's plan.

    >>> plan("| 5 | A | [00](notebooks/00_start.ipynb): the idea | What? | That. |")[0].chapter
    '00_start'
    """
    found = []
    for cells in re.findall(r"^\| (\d+) \| ([ABC]) \| (.+?) \| (.+?) \| (.+?) \|$", teaching, re.MULTILINE):
        chapter = re.match(r"\[\d+\]\(notebooks/(\w+)\.ipynb\): ", cells[2])
        if not chapter:
            raise ValueError(f"TEACHING.md: the row {cells[2]!r} must begin with a link to its chapter and a colon")
        found.append(Row(int(cells[0]), cells[1], chapter[1], cells[2][chapter.end() :], *cells[3:]))
    if not found:
        raise ValueError("TEACHING.md has no row such as | 5 | A | [00](notebooks/00_….ipynb): … | ask | answer |")
    return found


def talk(teaching, minutes, letters, chapters):
    """The parts of the talk that shows the rows of these letters; what is left of its minutes is for exercises."""
    chosen = [row for row in plan(teaching) if row.part in letters]
    parts, at, opened = [Part("NMF, put on trial", (title_slide(chosen),), 0, 0)], 0.0, set()
    claims = {number for row in chosen for number in claims_of(row.chapter)}
    for row in chosen:
        chapter = chapters[row.chapter]
        if row.chapter not in opened:
            slides = [opener(chapter, row), *selected(chapter, row, round(row.minutes / PER_SLIDE) - 1)]
            title = chapter.title
        else:
            slides, title = ballot(claims), row.shown[:1].upper() + row.shown[1:]
            slides[0].notes += [f"**Ask.** {row.asked}", f"**Answer.** {row.answer}"]
        opened.add(row.chapter)
        parts.append(Part(title, timed(slides, at, row.minutes), at, row.minutes))
        at += row.minutes
    if at < minutes:
        parts.append(Part("Exercises", timed([exercises(teaching, opened)], at, minutes - at), at, minutes - at))
    return parts


def exercises(teaching, chapters):
    """The exercises with one star of these chapters; as many as have room on the slide, all in its notes."""
    title, found = "Exercises: look and listen", []
    row = r"^\| \[(\d\d)\]\(notebooks/(\w+)\.ipynb\) \| (.+?) \|"
    for number, chapter, listed in re.findall(row, teaching, re.MULTILINE):
        if chapter in chapters:
            easy = re.findall(r"\d\. ([^<]+?) \(★, (\d+)\)", listed)
            found += [f"<tr><td>{number}</td><th>{name}</th><td>{time} min</td></tr>" for name, time in easy]
    room = WORDS - words(title)
    shown = [row for k, row in enumerate(found) if k < ROWS and words("".join(found[: k + 1])) <= room]
    notes = [f"<table>{''.join(found)}</table>"]
    return Slide(title, f"<table>{''.join(shown)}</table>", "table", notes=notes)


def title_slide(rows):
    """The title of the talk, and its plan: a bar of chapters, each as long as it lasts."""
    bar = "".join(f'<span style="flex: {row.minutes}">{row.chapter[:2]}</span>' for row in rows)
    said = "".join(f"\n- {row.minutes} min, {row.chapter[:2]}: {row.shown}" for row in rows)
    subtitle = '<p lang="fr">Factorisation en matrices non négatives pour la séparation de sources audio</p>'
    minutes = sum(row.minutes for row in rows)
    body = f'{subtitle}<div class="timeline">{bar}</div><p>{minutes} minutes, chapter by chapter</p>'
    return Slide("NMF for audio source separation, put on trial", body, "title", notes=[said])


def chapter_parts(chapter):
    """The slides of a chapter, a part for each of its headings; the minutes are those of its goals."""
    parts = []
    each = chapter.minutes / len(chapter.slides)
    for slide in timed(chapter.slides, 0, chapter.minutes):
        if parts and parts[-1].title == slide.title:
            parts[-1] = replace(parts[-1], slides=(*parts[-1].slides, slide), minutes=parts[-1].minutes + each)
        else:
            parts.append(Part(slide.title, (slide,), slide.minute, each))
    return parts


def timed(slides, at, minutes):
    """Copies of the slides, each with the minute at which it is due."""
    return tuple(replace(slide, minute=at + k * minutes / len(slides)) for k, slide in enumerate(slides))


def opener(chapter, row):
    """The chapter's picture to play, with the question and the answer of its row."""
    first = chapter.slides[0]
    notes = [f"**Show and hear.** {row.shown}", f"**Ask, then move.** {row.asked}", f"**Answer.** {row.answer}"]
    return replace(first, question=row.asked, answer=row.answer, notes=[*notes, *first.notes])


def selected(chapter, row, count):
    """The slides of the chapter that share most words with its row, in the chapter's order; pictures first."""
    said = stems(f"{row.shown} {row.asked} {row.answer}")

    def score(slide):
        about = stems(f"{slide.title} {slide.question} {' '.join(slide.notes)}")
        title = stems(slide.title)
        kind = {"picture": 2, "sounds": 2, "words": -2}.get(slide.kind, 0)
        return 2 * len(said & title) + len(said & about) / (3 + len(about)) ** 0.5 + kind

    best = sorted(chapter.slides[1:], key=score, reverse=True)[: max(count, 1)]
    return [slide for slide in chapter.slides if slide in best]


def stems(text):
    """The first five letters of the words of a text that say something."""
    text = re.sub(r"<[^>]*>|\]\([^)]*\)", " ", text)
    return {word[:5].lower() for word in re.findall(r"[^\W\d_]{4,}|[A-Z]{2,}", text)} - COMMON


def claims_of(chapter):
    return [row["claim"] for row in read_table(ROOT / "data" / "talk_claims.csv") if row["notebook"] == chapter]


def ballot(claims):
    """The claims of the talk to vote on, as many on a slide as have room, and all verdicts at the end."""
    verdicts = {row["claim"]: row["verdict"] for row in read_table(ROOT / "figures" / "claims.csv")}
    every = read_table(ROOT / "data" / "talk_claims.csv")
    every = [row | {"verdict": verdicts.get(row["claim"], NOT_YET)} for row in every]
    title, groups = "Which claims held?", [[]]

    def short(row):
        return row["verdict"] if words(row["verdict"]) <= 8 else "holds in some cases, not in others"

    room = WORDS - words(title)
    for row in every:
        if row["claim"] in claims:
            if sum(words(one["statement"]) + 1 + words(short(one)) for one in [*groups[-1], row]) > room:
                groups.append([])
            groups[-1].append(row)
    slides = []
    for group in groups:
        body, notes = "", []
        for row in group:
            body += f'<div class="ballot"><p class="claim">{row["claim"]}: {html.escape(row["statement"])}</p>'
            body += f'<p class="outcome fragment">{mark(row["verdict"])} {html.escape(short(row))}</p></div>'
            notes += [f"{row['claim']}: {row['verdict']}, chapter {row['notebook'][:2]}."]
        slides.append(Slide(title, body, "verdict", notes=notes))
    tiles = "".join(f"<div><b>{row['claim']}</b> {mark(row['verdict'])}</div>" for row in every)
    legend = "<p>✓ holds · ◐ in some cases · ✗ does not hold</p>"
    notes = [f"{row['claim']}: {row['statement']} {row['verdict']}." for row in every]
    return [*slides, Slide("The balance", f'<div class="tiles">{tiles}</div>{legend}', "table", notes=notes)]


def markdown(text):
    return jinja2.utils.markupsafe.Markup(beside(rendered(text)))


def line(text):
    return jinja2.utils.markupsafe.Markup(beside(rendered(text, inline=True)))


def beside(page):
    """Links to figures/ and grids/, which lie beside the slides."""
    return page.replace('"../figures/', '"figures/').replace('"../grids/', '"grids/')


def counted(parts):
    return sum(len(part.slides) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
