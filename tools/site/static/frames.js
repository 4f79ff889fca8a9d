// A film strip becomes a slider: one frame at a time, its values and its text; the whole strip stays one click away.
// Without this script the strip itself is shown.

function make(tag, attributes, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

function slider(figure, number) {
  const strip = figure.querySelector("img");
  const frames = JSON.parse(figure.dataset.frames); // [{values: {name: value}, text, box: [left, top, width, height]}]
  const widest = Math.max(...frames.map(({ box }) => box[2]));
  const tallest = Math.max(...frames.map(({ box }) => box[3]));
  const [stripWidth, stripHeight] = ["width", "height"].map((side) => Number(strip.getAttribute(side)));

  const range = make("input", { type: "range", min: 0, max: frames.length - 1, step: 1, value: 0, id: `frame-${number}` });
  const label = make("label", { htmlFor: range.id }, Object.keys(frames[0].values).join(", "));
  const value = make("output", {});
  const picture = make("img", { src: strip.src, loading: "lazy" });
  const view = make("div", { className: "frame" }, picture);
  const text = make("p", { className: "frame-text" });
  const all = make("details", {}, make("summary", {}, `All ${frames.length} frames side by side`));

  view.style.maxWidth = `${widest}px`;
  view.style.aspectRatio = `${widest} / ${tallest}`;
  picture.style.width = `${(100 * stripWidth) / widest}%`;

  function show() {
    const { values, text: said, box: [left, top, width, height] } = frames[range.value];
    const setting = Object.entries(values).map(([name, is]) => `${name} = ${is}`).join(", ");
    value.textContent = Object.values(values).join(", ");
    text.textContent = said;
    range.setAttribute("aria-valuetext", said ? `${setting}: ${said}` : setting);
    picture.alt = `Frame ${setting} of: ${strip.alt}`;
    picture.style.left = `${(-100 * left) / widest}%`;
    picture.style.top = `${(-100 * top) / tallest}%`;
    const cut = [top / stripHeight, 1 - (left + width) / stripWidth, 1 - (top + height) / stripHeight, left / stripWidth];
    picture.style.clipPath = `inset(${cut.map((share) => `${100 * share}%`).join(" ")})`;
  }

  range.addEventListener("input", show);
  figure.prepend(make("div", { className: "control" }, label, range, value), view, text, all);
  all.append(strip);
  show();
}

document.querySelectorAll("figure[data-frames]").forEach(slider);
