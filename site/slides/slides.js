// Formulas are set, and letters made smaller until all fits, when a slide is first shown.

const HEIGHT = 720;
const printing = /print-pdf|view=print/.test(location.search);
const seen = new Set();

async function prepare(slide) {
  if (seen.has(slide)) return;
  seen.add(slide);
  await MathJax.typesetPromise([slide]);
  for (let size = 100; size > 40 && slide.scrollHeight > HEIGHT; size -= 5) slide.style.fontSize = `${size}%`;
  slide.dataset.ready = "true";
}

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
