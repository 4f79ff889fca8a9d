// A figure with controls: each setting has a picture, a text and sounds in the grid, and all three change together.
// Without this script the picture of the first setting is shown. `make` is that of frames.js.

// ---------------------------------------------------------------- one player, and a button for each of its sounds

class Player {
  constructor(labels) {
    this.audio = make("audio", { controls: true, preload: "metadata", ariaLabel: labels[0] });
    this.buttons = labels.map((label) => make("button", { type: "button", onclick: () => this.press(label) }, label));
    this.element = make("div", { className: "sounding" }, make("div", { className: "buttons" }, ...this.buttons), this.audio);
    this.sounds = {};
    this.chosen = labels[0];
    this.place = 0; // seconds
    for (const event of ["play", "pause", "ended"]) this.audio.addEventListener(event, () => this.mark());
  }

  press(label) {
    const again = label === this.chosen && !this.audio.paused;
    this.chosen = label;
    if (again) this.audio.pause();
    else this.load(true);
  }

  set(sounds) {
    this.sounds = sounds;
    if (!(this.chosen in sounds)) this.chosen = Object.keys(sounds)[0];
    this.load(!this.audio.paused);
  }

  load(playing) { // the place is kept, and what played goes on
    const { audio } = this, address = this.sounds[this.chosen];
    if (address && audio.getAttribute("src") !== address) {
      if (audio.readyState) this.place = audio.ended ? 0 : audio.currentTime;
      audio.src = address;
      audio.onloadedmetadata = () => { audio.currentTime = Math.min(this.place, audio.duration); };
    }
    if (playing && address) audio.play().catch(() => {}); // broken off by the next setting
    this.mark();
  }

  mark() {
    for (const button of this.buttons) {
      const label = button.textContent;
      button.hidden = !(label in this.sounds);
      button.setAttribute("aria-pressed", label === this.chosen && !this.audio.paused);
      button.classList.toggle("chosen", label === this.chosen);
    }
    this.audio.setAttribute("aria-label", this.chosen);
  }
}

// ---------------------------------------------------------------- controls

function control({ label, values, start }, id, changed) {
  if (!values.some((value) => /^[-\d½]/.test(value))) { // words
    const input = make("select", { id, oninput: changed }, ...values.map((text, value) => make("option", { value }, text)));
    const set = (place) => { input.value = place; };
    set(start);
    return { input, set, place: () => Number(input.value), row: [make("label", { htmlFor: id }, label), input] };
  }
  const output = make("output", {});
  const tell = () => {
    output.textContent = values[input.value];
    input.setAttribute("aria-valuetext", `${label}: ${values[input.value]}`);
  };
  const input = make("input", { type: "range", id, min: 0, max: values.length - 1, step: 1, value: start });
  input.addEventListener("input", () => { tell(); changed(); });
  tell();
  const set = (place) => { input.value = place; tell(); };
  return { input, set, place: () => Number(input.value), row: [make("label", { htmlFor: id }, label), input, output] };
}

function explorer(figure, number) {
  const { folder, controls: facts, presets, frames } = JSON.parse(figure.querySelector("script").textContent);
  const picture = figure.querySelector("img");
  const tallest = Math.max(...frames.map(({ size }) => (size ? size[1] / size[0] : 0)));
  const controls = facts.map((fact, i) => control(fact, `control-${number}-${i}`, () => show()));
  const names = facts.map(({ name }) => name);
  const labels = [...new Set(frames.flatMap(({ sounds = {} }) => Object.keys(sounds)))];
  const player = new Player(labels);
  const said = make("p", { className: "said", ariaLive: "polite" });
  const places = () => controls.map(({ place }) => place());
  const frameAt = (at) => frames[at.reduce((index, place, i) => index * facts[i].values.length + place, 0)];
  let newest = 0;

  async function show() {
    const asked = ++newest, frame = frameAt(places());
    if (frame.picture) {
      const next = make("img", { src: folder + frame.picture });
      await next.decode().catch(() => {});
      if (asked !== newest) return;
      picture.src = next.src;
      [picture.width, picture.height] = frame.size;
    }
    picture.style.visibility = frame.picture ? "" : "hidden";
    said.textContent = frame.text;
    player.set(Object.fromEntries(Object.entries(frame.sounds ?? {}).map(([label, file]) => [label, folder + file])));
    figure.dataset.shown = places().join(" ");
    ahead();
  }

  function ahead() { // the settings one step away are fetched before they are asked for
    const here = places();
    controls.forEach((_, i) => [-1, 1].forEach((step) => {
      const at = here.with(i, here[i] + step);
      if (at[i] >= 0 && at[i] < facts[i].values.length) make("img", { src: folder + frameAt(at).picture });
    }));
  }

  const go = (wanted) => {
    Object.entries(wanted).forEach(([name, place]) => controls[names.indexOf(name)].set(place));
    show();
  };
  const reset = Object.fromEntries(facts.map(({ name, start }) => [name, start]));
  const buttons = Object.entries({ ...presets, Reset: reset }).map(([label, wanted]) =>
    make("button", { type: "button", onclick: () => go(wanted) }, label));

  // A and B: two settings to go back and forth between while the sound goes on
  const kept = { A: null, B: null };
  let side = "A";
  const sides = Object.keys(kept).map((name) => make("button", { type: "button", title: `setting ${name}`, onclick: () => {
    kept[side] = places();
    side = name;
    (kept[side] ?? places()).forEach((place, i) => controls[i].set(place));
    pressed();
    show();
  } }, name));
  const pressed = () => sides.forEach((button) => button.setAttribute("aria-pressed", button.textContent === side));
  pressed();

  const rows = controls.map(({ row }) => make("div", { className: "control" }, ...row));
  const below = make("div", { className: "buttons" }, ...buttons, make("span", { className: "sides", role: "group", ariaLabel: "compare two settings" }, ...sides));
  const view = make("div", { className: "view" });
  figure.prepend(make("div", { className: "controls" }, ...rows, below), view, said);
  view.append(picture);
  view.style.setProperty("--tallest", tallest);
  if (labels.length) said.after(player.element);
  figure.classList.add("live");
  show();
}

document.querySelectorAll("figure.explore").forEach(explorer);

// ---------------------------------------------------------------- tables of players: durations, and one place for all

const seen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
  target.preload = "metadata";
  seen.unobserve(target);
}));
document.querySelectorAll("table.sounds audio").forEach((audio) => seen.observe(audio));
document.addEventListener("play", ({ target }) => { // of what was playing, the one of the same length gives its place
  for (const other of document.querySelectorAll("audio")) {
    if (other === target || other.paused) continue;
    const together = other.closest("table") && other.closest("table") === target.closest("table");
    if (together && Math.abs(other.duration - target.duration) < 0.1) target.currentTime = other.currentTime;
    other.pause();
  }
}, true);
