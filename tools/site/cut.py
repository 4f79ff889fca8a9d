"""A chapter cut into slides: on each a title, one picture, table, formula or set of players, and at most WORDS words.

What is said in class goes to the notes of the slide: the question, the answer, the prose around them, what was printed.
"""

import html
import json
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise

WORDS = 40
SOUNDS = 8  # players on one slide
BENEATH = 2  # players under a picture
ROWS = 11  # of a table on one slide
PRINTED = ("<pre>", '<table class="printed">')
NOT_SHOWN = ("Goals", "Exercises", "Solutions", "References", "The map", "Does it run here", "Three ways")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)


@dataclass
class Slide:
    title: str  # Markdown, as question and answer
    body: str = ""  # HTML
    kind: str = "words"  # or picture, sounds, table, formula, verdict
    question: str = ""
    answer: str = ""
    notes: list[str] = field(default_factory=list)  # Markdown, or HTML that begins with <
    minute: float = 0.0

    def fitted(self):
        """Question and answer as far as there is room: whole sentences, the question without its introduction."""
        room = WORDS - words(self.title) - words(self.body)
        question = sentences_within(self.question, min(room, WORDS // 2)) if self.question else ""
        if "?" not in question:
            asked = [sentence for sentence in sentences(self.question) if "?" in sentence]
            question = next((one for one in asked if words(one) <= min(room, WORDS // 2)), "")
        answer = sentences_within(self.answer, room - words(question))
        if self.answer and not answer and "?" in self.title:
            question, answer = "", sentences_within(self.answer, room)
        return question, answer


def words(text):
    """How many words Markdown or HTML shows; of a film strip one frame counts, formulas and controls do not."""
    count = 0
    for frames in re.findall(r"data-frames='(.*?)'", text):
        said = json.loads(html.unescape(frames))
        count += len(said[0]["values"]) + max(words(" ".join([*f["values"].values(), f["text"]])) for f in said)
    for facts in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL):
        count += max(words(frame["text"]) for frame in json.loads(facts)["frames"])
    text = re.sub(r"<(figcaption|script).*?</\1>|<[^>]*>", " ", FORMULA.sub(" ", text), flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|\\\[.*?\\\]", " ", text, flags=re.DOTALL)
    return count + sum(any(letter.isalpha() for letter in token) for token in text.split())


def sentences(text):
    """Sentences, and the parts of those with semicolons."""
    parts = re.split(r"(?:(?<=[.?!])|(?<=[.?!]\)))\s+(?=[A-ZÀ-Ý«“\"'(*$\d])|(?<=;)\s+", text.replace("**", ""))
    return [part.strip() for part in parts if part.strip()]


def sentences_within(text, room):
    """The first sentences of a text, as many as have no more than `room` words."""
    taken = []
    for sentence in sentences(text):
        if words(" ".join([*taken, sentence])) > room:
            break
        taken.append(sentence)
    return re.sub(";$", " …", " ".join(taken))


def rendered(text, inline=False):
    """Markdown as HTML; formulas between \\( \\) and \\[ \\], as MathJax reads them."""
    if text.lstrip().startswith("<"):
        return text
    from markdown_it import MarkdownIt

    formulas = []

    def keep(match):
        marks = ("\\[", "\\]") if match[1] else ("\\(", "\\)")
        formulas.append(marks[0] + html.escape(match[1] or match[2]) + marks[1])
        return f"\x02{len(formulas) - 1}\x03"

    text = FORMULA.sub(keep, re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text))
    parser = MarkdownIt().enable("table")
    page = parser.renderInline(text) if inline else parser.render(text)
    return re.sub("\x02(\\d+)\x03", lambda match: formulas[int(match[1])], page)


class Chapter:
    """The slides of a notebook whose outputs are for the web. `slides[0]` is what it opens with: its picture to play.

    title : "04 · Two switched sine waves, taken apart"; number : "04"; minutes : what its goals say
    """

    def __init__(self, notebook):
        self.slides, self.figures = [], {}
        self.heading, self.section, self.question = "", [], ""  # the section's slides
        self.said, self.formulas, self.printed = [], [], ""  # since the last slide
        title, promise, *intro = blocks(notebook.cells[0].source)
        self.title = title.removeprefix("# ")
        self.number = self.title[:2]
        text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        time = re.search(r"\*Time:\*+ (\d+) minutes", text)
        self.minutes = int(time[1]) if time else 0
        for cell in notebook.cells[1:]:
            if cell.cell_type == "markdown":
                for block in blocks(cell.source):
                    self.read(block)
            elif "solution" not in cell.metadata.get("tags", ()) and self.is_shown():
                for output in cell.outputs:
                    self.show(output.get("text") or output.get("data", {}).get("text/html", ""))
        self.end_section()
        opener = next((slide for slide in self.slides if "Play" in slide.title and slide.kind == "picture"), None)
        opener = opener or next(slide for slide in self.slides if slide.kind == "picture")
        self.slides.remove(opener)
        opener.title = self.title
        opener.notes[:0] = [promise, *intro]
        self.slides.insert(0, opener)

    def is_shown(self):
        return not self.heading.startswith(NOT_SHOWN)

    def read(self, block):
        """One paragraph of the chapter."""
        if re.match(r"#{1,4} ", block):
            self.end_section()
            self.heading = block.lstrip("# ")
        elif not self.is_shown():
            return
        elif block.startswith("**Predict"):
            self.question = re.sub(r"^\*\*Predict[^*]*\*\*:?\s*", "", block)
            self.question = self.question[:1].upper() + self.question[1:]
            self.said.append(f"**Ask.** {self.question}")
        elif block.startswith("**Answer"):
            self.answered(re.sub(r"^\*\*Answer[^*]*\*\*:?\s*", "", block), f"**Answer.** {block[11:].strip()}")
        elif (remembered := re.search(r"\[[^\]]*\]\(\.\./figures/(\w+\.png)\)", block)) and "saw" in self.heading:
            lines = "\n".join(self.said)
            if remembered[1] in self.figures:
                self.add("picture", self.figures[remembered[1]])
            if self.section:
                self.section[-1].answer = re.sub(r"^\d\. |\n\d\. .*", "", lines, flags=re.DOTALL)
        else:
            self.said.append(block)
            self.formulas += re.findall(r"\$\$.+?\$\$", block, re.DOTALL)

    def answered(self, answer, note):
        """An answer belongs to the slide that asks; without one, a slide of words is made, with what was printed."""
        if self.question:
            body = f"<pre>{html.escape(self.printed)}</pre>" if 0 < words(self.printed) <= 15 else ""
            self.add("words", body)
        asking = [slide for slide in self.section if slide.question] or self.section
        if not asking:
            return self.said.append(note)
        asking[-1].answer = asking[-1].answer or answer
        asking[-1].notes += [note]
        return None

    def show(self, content):
        """One output of a cell."""
        if content.startswith("<figure") and not self.is_repeated(content):
            if name := re.search(r'src="\.\./figures/(\w+\.png)"', content):
                self.figures[name[1]] = content
            self.add("picture", content)
        elif "<audio" in content:
            parts = players(content, WORDS - words(self.heading))
            beneath = self.section[-1] if self.section and content.count("<audio") <= BENEATH else None
            if beneath and beneath.kind == "picture" and words(beneath.title + beneath.body + parts[0]) < WORDS:
                beneath.body += parts[0]
            else:
                for part in parts:
                    self.add("sounds", part)
        elif "<strong>Verdict" in content:
            self.add("verdict", verdict(content, WORDS - words(self.heading)))
            self.section[-1].notes.append(content)
        elif content.startswith(PRINTED):
            for table in re.findall(r"<table.*?</table>", content):
                if words(table) + words(self.heading) <= WORDS and table.count("<tr>") <= ROWS + 1:
                    self.add("table", table)
                    self.section[-1].notes.append(table)
                else:
                    self.said.append(table)
        elif content.strip() and not content.startswith("<"):
            self.printed = content.rstrip()
            self.said.append(f"<pre>{html.escape(self.printed)}</pre>")

    def is_repeated(self, figure):
        """Whether it only shows one setting of a figure that is there already."""
        return 'class="live"' in figure and any(slide.kind == "picture" for slide in self.section)

    def add(self, kind, body):
        if self.formulas:
            formula = "".join(f"<div>\\[{html.escape(text.strip('$'))}\\]</div>" for text in self.formulas[:2])
            before = [text for text in self.said if not text.startswith("**Ask")]
            self.said = [text for text in self.said if text.startswith("**Ask")]
            self.section.append(Slide(self.heading, formula, "formula", notes=before))
        seen = re.findall(r'alt="(.*?)"', body)[:1]
        heard = re.findall(r"<th>(.*?)</th>", body) if kind == "sounds" else []
        notes = [f"**To be seen.** {html.unescape(alt)}" for alt in seen]
        notes += [f"**To be heard**, one after the other, and again: {', '.join(heard)}."] if heard else []
        self.section.append(Slide(self.heading, body, kind, self.question, notes=[*self.said, *notes]))
        self.said, self.formulas, self.question, self.printed = [], [], "", ""

    def end_section(self):
        """What was said after the section's last slide goes to its notes."""
        if self.section:
            self.section[-1].notes += self.said
        elif self.formulas and self.is_shown():
            self.add("words", "")
            self.section.pop()
        self.slides += picture_first(self.section)
        self.section, self.said, self.formulas, self.question, self.printed = [], [], [], "", ""


def picture_first(section):
    """The slides of a section; a question that stands by sounds or a table goes with the picture that comes next."""
    for k, (slide, after) in enumerate(pairwise(section)):
        if slide.kind in ("sounds", "table") and slide.question and after.kind == "picture" and not after.question:
            asked = replace(after, question=slide.question, answer=slide.answer, notes=slide.notes + after.notes)
            heard = replace(slide, question="", answer="", notes=slide.notes[-1:])
            section[k : k + 2] = asked, heard
    return section


def blocks(source):
    """The paragraphs of a Markdown cell; a question and an answer within one begin another."""
    found = []
    for paragraph in re.split(r"\n\s*\n(?![^$]*\$\$\n)", source):
        for part in re.split(r"(?=\*\*(?:Predict|Answer))", paragraph):
            lines = part.strip().split("\n", 1)
            found += [line for line in (lines if lines[0].startswith("#") else [part.strip()]) if line.strip()]
    return found


def players(content, room):
    """Tables of names and players, so many in each that they fit on a slide."""
    rows = re.findall(r'<th scope="row">(.*?)</th>.*?(<audio .*?</audio>)', content, re.DOTALL)
    parts = 1
    while any(len(part) > SOUNDS or words(" ".join(name for name, _ in part)) > room for part in split(rows, parts)):
        parts += 1
    lines = [[f"<tr><th>{name}</th><td>{player}</td></tr>" for name, player in part] for part in split(rows, parts)]
    return [f'<table class="players">{"".join(part)}</table>' for part in lines]


def split(rows, parts):
    """The rows in so many parts of about equal length."""
    size = -(-len(rows) // parts)
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def verdict(content, room):
    """The claim, and at the next step the verdict with what was found and needed, if there is room for it."""
    outcome = re.search(r"<strong>Verdict \w+: (.*?)</strong>", content)[1]
    statement = re.search(r"</strong></p><p>(.*?)(?:<br>|</p>)", content, re.DOTALL)[1]
    cells = [re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", content)]
    rows = "".join(f"<tr><th>{c[0]}</th><td>{c[1]}</td><td>needed {c[2]}</td></tr>" for c in cells if len(c) > 2)
    text = f'<p class="claim">{statement}</p><div class="fragment"><p class="outcome">{outcome}</p>'
    full = f"{text}<table>{rows}</table></div>"
    return full if words(full) <= room else f"{text}</div>"
