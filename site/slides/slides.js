// Formulas are set, and letters made smaller until all fits, when a slide is first shown.

const HEIGHT = 720;
const ROOM = HEIGHT - 30; // above the arrows
const printing = /print-pdf|view=print/.test(location.search);
const seen = new Set();

async function prepare(slide) {
  if (seen.has(slide)) return;
  seen.add(slide);
  await MathJax.typesetPromise([slide]);
  await document.fonts.ready;
  for (const formula of slide.querySelectorAll("mjx-container[display]")) {
    const share = formula.clientWidth / formula.scrollWidth;
    if (share < 1) formula.style.fontSize = `${Math.floor(100 * share) - 1}%`;
  }
  const full = () => slide.scrollHeight > ROOM || slide.scrollWidth > slide.clientWidth;
  for (let size = 95; size >= 40 && full(); size -= 5) slide.style.fontSize = `${size}%`;
  slide.dataset.ready = "true";
}

// A frame as large as the slide allows; its pixels are those of the strip.
document.querySelectorAll(".frame").forEach((frame) => {
  const [width, height] = frame.style.aspectRatio.split("/").map(Number);
  frame.style.width = `${Math.min(1100, (width / height) * 400, 1.8 * width) / 30}em`;
  frame.style.maxWidth = "none";
});

window.MathJax = {
  tex: { inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true },
  chtml: { matchFontHeight: false },
  startup: {
    typeset: false,
    async ready() {
      MathJax.startup.defaultReady();
      if (printing) await MathJax.typesetPromise();
      await Reveal.initialize({ width: 1280, height: HEIGHT, margin: 0.04, center: false, hash: true, slideNumber: "c/t" });
      if (printing) return;
      Reveal.on("slidechanged", ({ currentSlide }) => prepare(currentSlide));
      prepare(Reveal.getCurrentSlide());
    },
  },
};
