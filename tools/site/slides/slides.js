// When a slide is first shown, formulas are set, letters made smaller until all fits, and pictures larger.

const [WIDTH, HEIGHT] = [1280, 720];
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
  for (const lines of slide.querySelectorAll("pre")) {
    const share = lines.clientWidth / lines.scrollWidth;
    if (share < 0.8) lines.style.whiteSpace = "pre-wrap";
    else if (share < 1) lines.style.fontSize = `${0.7 * share}em`;
  }
  const full = () => slide.scrollHeight > ROOM || slide.scrollWidth > slide.clientWidth;
  for (let size = 95; size >= 40 && full(); size -= 5) slide.style.fontSize = `${size}%`;
  for (const picture of slide.querySelectorAll("figure > img")) {
    resize(picture, picture.clientHeight + ROOM - slide.scrollHeight);
  }
  slide.dataset.ready = "true";
}

// A picture takes the height that the letters leave, no more than its pixels allow.
function resize(picture, height) {
  const [width, tall] = ["width", "height"].map((side) => Number(picture.getAttribute(side)));
  const scale = Math.min(WIDTH / width, height / tall, 1.8);
  picture.style.width = `${Math.floor(scale * width)}px`;
  picture.style.height = `${Math.floor(scale * tall)}px`;
}
document.querySelectorAll("figure > img").forEach((picture) => resize(picture, 380));

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
      await Reveal.initialize({ width: WIDTH, height: HEIGHT, margin: 0.04, center: false, hash: true, slideNumber: "c/t" });
      if (printing) return;
      Reveal.on("slidechanged", ({ currentSlide }) => prepare(currentSlide));
      prepare(Reveal.getCurrentSlide());
    },
  },
};
