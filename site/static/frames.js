// A film strip becomes a slider: one frame at a time, its values and its text; the whole strip stays one click away.
// Without this script the strip itself is shown.

function slider(figure, number) {
  const strip = figure.querySelector("img");
  const frames = JSON.parse(figure.dataset.frames);
  const settings = frames.map(({ values }) => Object.entries(values).map(([name, value]) => `${name} = ${value}`).join(", "));
  const tallest = Math.max(...frames.map(({ box }) => box[3] / box[2]));

  const make = (tag, attributes, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };
  const range = make("input", { type: "range", min: 0, max: frames.length - 1, step: 1, value: 0, id: `frame-${number}` });
  const label = make("label", { htmlFor: range.id }, Object.keys(frames[0].values).join(", "));
  const value = make("output", { htmlFor: range.id });
  const picture = strip.cloneNode();
  const view = make("div", { className: "frame" }, picture);
  const text = make("p", { className: "frame-text" });
  const all = make("details", {}, make("summary", {}, `All ${frames.length} frames side by side`));

  function show() {
    const { box: [left, top, width, height], text: said } = frames[range.value];
    const setting = settings[range.value];
    range.setAttribute("aria-valuetext", said ? `${setting}: ${said}` : setting);
    value.textContent = setting;
    text.textContent = said;
    picture.alt = `${setting}. ${strip.alt}`;
    view.style.maxWidth = `${width}px`;
    view.style.aspectRatio = `${width} / ${height}`;
    picture.style.width = `${(100 * strip.getAttribute("width")) / width}%`;
    picture.style.left = `${(-100 * left) / width}%`;
    picture.style.top = `${(-100 * top) / height}%`;
  }

  range.addEventListener("input", show);
  figure.prepend(make("div", { className: "control" }, label, range, value), make("div", { className: "stage" }, view), text, all);
  figure.querySelector(".stage").style.setProperty("--tallest", tallest);
  figure.classList.add("sliding");
  all.append(strip);
  show();
}

document.querySelectorAll("figure[data-frames]").forEach(slider);
