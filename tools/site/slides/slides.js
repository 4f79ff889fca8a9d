// A slide is prepared when it is first shown: its formulas are set, and what is too large is made smaller.

const [WIDTH, HEIGHT] = [1280, 720];
const minutes = Number(document.body.dataset.minutes);
const contents = document.getElementById("contents");
const opening = document.getElementById("open-contents");
const parts = [...contents.querySelectorAll("li")];
const prepared = new Set();
let began = 0;

async function prepare(slide) {
  if (prepared.has(slide)) return;
  prepared.add(slide);
  await MathJax.typesetPromise([slide.querySelector("h2"), ...slide.querySelectorAll(".body, .said")]);
  await document.fonts.ready;
  for (const formula of slide.querySelectorAll("mjx-container[display]")) {
    const share = slide.clientWidth / formula.querySelector("mjx-math").offsetWidth;
    if (share < 1) formula.style.fontSize = `${Math.floor(100 * share) - 1}%`;
  }
  const body = slide.querySelector(".body");
  for (let size = 30; size >= 18 && (body.scrollHeight > body.clientHeight || body.scrollWidth > body.clientWidth); size -= 2) {
    body.querySelectorAll("table, pre").forEach((block) => { block.style.fontSize = `${size}px`; });
  }
  slide.querySelectorAll(".frame").forEach(enlarge);
  slide.dataset.ready = "true";
}

// A frame of a film strip takes the room that its control and its text leave.
function enlarge(frame) {
  const figure = frame.closest("figure");
  const [width, height] = frame.style.aspectRatio.split("/").map(Number);
  const others = [...figure.children].filter((child) => child !== frame).reduce((sum, child) => sum + child.offsetHeight + 6, 0);
  const scale = Math.min(figure.clientWidth / width, (figure.clientHeight - others) / height);
  Object.assign(frame.style, { maxWidth: "none", width: `${Math.floor(scale * width)}px`, height: `${Math.floor(scale * height)}px` });
}

// The bar says where the talk is and what time it should be, and is once the second slide was reached.
function update() {
  const slide = Reveal.getCurrentSlide();
  const { part, minute } = slide.dataset;
  const at = Reveal.getIndices().h;
  if (at > 0 && !began) began = Date.now();
  const now = began ? `, now ${Math.floor((Date.now() - began) / 60000)}` : "";
  document.getElementById("minute").textContent = `minute ${minute} of ${minutes}${now}`;
  document.getElementById("place").textContent = `${at + 1}/${Reveal.getTotalSlides()}`;
  document.getElementById("part").textContent = parts[part].querySelector("a").lastChild.textContent.trim();
  parts.forEach((entry, number) => entry.classList.toggle("now", number === Number(part)));
}

function toggleContents(show = contents.hidden) {
  contents.hidden = !show;
  opening.setAttribute("aria-expanded", show);
  if (show) contents.querySelector(".now a").focus();
}
opening.addEventListener("click", () => toggleContents());
contents.addEventListener("click", (event) => event.target.closest("a") && toggleContents(false));

// Formulas of the notes as MathML, which the window of the notes shows without MathJax.
function setNotes() {
  for (const note of document.querySelectorAll("aside.notes")) {
    note.innerHTML = note.innerHTML.replace(/\\([([])(.+?)\\[)\]]/gs, (_, mark, tex) => {
      const plain = new DOMParser().parseFromString(tex, "text/html").documentElement.textContent;
      return MathJax.tex2mml(plain, { display: mark === "[" });
    });
  }
}

window.MathJax = {
  tex: { processEscapes: true },
  chtml: { matchFontHeight: false },
  startup: {
    typeset: false,
    async ready() {
      MathJax.startup.defaultReady();
      setNotes();
      await Reveal.initialize({
        width: WIDTH, height: HEIGHT, margin: 0.03, center: false, display: "flex", hash: true, transition: "none",
        controls: false, plugins: [RevealNotes], keyboard: { 67: () => toggleContents() },
      });
      Reveal.on("slidechanged", ({ currentSlide }) => { update(); prepare(currentSlide); });
      setInterval(update, 10000);
      update();
      prepare(Reveal.getCurrentSlide());
    },
  },
};
