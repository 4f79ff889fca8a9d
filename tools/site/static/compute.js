// Chapter 04's figure, computed in this page: two switched tones, STFT, NMF, masks, inverse STFT, sounds.
// Arrays are flat, row by row: V [bin * N + frame], W [bin * K + k], H [k * N + frame]. Without this script the
// picture of the first setting is shown. `make` is that of frames.js, `control` and `Player` are those of explore.js.

const RATE = 8000, SIZE = 512, HOP = 256, BINS = SIZE / 2 + 1;
const HANN = Float64Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));

function tones(alpha, beta, seconds) { // the two terms of the talk's s(t)
  const gated = (rate, omega) => Float64Array.from({ length: Math.round(RATE * seconds) }, (_, i) => {
    const t = i / RATE;
    return Math.sin(rate * t) > 0 ? Math.sin(omega * t) : 0;
  });
  return [gated(alpha, 500), gated(beta, 1000)];
}

// ---------------------------------------------------------------- STFT

function fft(re, im) { // in place, of SIZE complex numbers (Cooley & Tukey 1965)
  for (let i = 1, j = 0; i < SIZE; i += 1) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let half = 1; half < SIZE; half *= 2) {
    for (let k = 0; k < half; k += 1) {
      const angle = (-Math.PI * k) / half, c = Math.cos(angle), s = Math.sin(angle);
      for (let i = k; i < SIZE; i += 2 * half) {
        const j = i + half, a = c * re[j] - s * im[j], b = c * im[j] + s * re[j];
        [re[j], im[j]] = [re[i] - a, im[i] - b];
        [re[i], im[i]] = [re[i] + a, im[i] + b];
      }
    }
  }
}

function stft(x) { // frame n is centred on sample n * HOP; the signal is zero outside
  const N = 1 + Math.max(Math.floor(x.length / HOP), Math.ceil((x.length - SIZE / 4) / HOP));
  const X = { N, re: new Float64Array(BINS * N), im: new Float64Array(BINS * N), modulus: new Float64Array(BINS * N) };
  for (let n = 0; n < N; n += 1) {
    const re = HANN.map((w, i) => w * (x[n * HOP + i - SIZE / 2] ?? 0)), im = new Float64Array(SIZE);
    fft(re, im);
    for (let f = 0; f < BINS; f += 1) {
      [X.re[f * N + n], X.im[f * N + n]] = [re[f], im[f]];
      X.modulus[f * N + n] = Math.hypot(re[f], im[f]);
    }
  }
  return X;
}

function inverse(X, mask, length) { // of mask * X; least squares (Griffin & Lim 1984)
  const { N } = X, x = new Float64Array(N * HOP + SIZE), weight = new Float64Array(x.length);
  for (let n = 0; n < N; n += 1) {
    const re = new Float64Array(SIZE), im = new Float64Array(SIZE);
    for (let f = 0; f < BINS; f += 1) {
      const at = f * N + n, g = (SIZE - f) % SIZE;
      re[f] = re[g] = mask[at] * X.re[at];
      if (g !== f) im[f] = -(im[g] = mask[at] * X.im[at]); // conjugate: the inverse transform by the forward one
    }
    fft(re, im);
    for (let i = 0; i < SIZE; i += 1) {
      x[n * HOP + i] += (HANN[i] * re[i]) / SIZE;
      weight[n * HOP + i] += HANN[i] ** 2;
    }
  }
  return x.map((value, i) => value / weight[i]).slice(SIZE / 2, SIZE / 2 + length);
}

// ---------------------------------------------------------------- NMF

function uniform(seed) { // numbers in (0, 1]: a linear congruential generator modulo 2³¹ − 1 (Park & Miller 1988)
  let state = 1 + ((seed + 1) * 7919) % 2147483646;
  return () => (state = (48271 * state) % 2147483647) / 2147483647;
}

const sum = (values) => values.reduce((a, b) => a + b, 0), largest = (values) => values.reduce((a, b) => Math.max(a, b), 1e-300);

function start(V, K, seed) { // random W and H, such that WH has the mean of V
  const random = uniform(seed), N = V.length / BINS;
  const W = new Float64Array(BINS * K).map(random), H = new Float64Array(K * N).map(random);
  const total = sum(product(W, H, K));
  return { W, H: H.map((h) => (h * sum(V)) / total) };
}

function product(W, H, K) {
  const N = H.length / K, Y = new Float64Array(BINS * N);
  for (let f = 0; f < BINS; f += 1) for (let k = 0; k < K; k += 1) {
    const w = W[f * K + k];
    for (let n = 0; n < N; n += 1) Y[f * N + n] += w * H[k * N + n];
  }
  return Y;
}

// A function that makes one iteration of the MM rule for D(V | WH), W first (Févotte & Idier 2011), and one that gives D.
function rules(V, K, beta) {
  const N = V.length / BINS, mean = sum(V) / V.length, floor = (beta > 0 ? 1e-100 : 1e-18) * mean;
  const data = beta > 0 ? V : V.map((v) => Math.max(v, 1e-15 * mean)); // a zero in V would cost infinity
  const gamma = beta < 1 ? 1 / (2 - beta) : 1;
  const iterate = ({ W, H }) => {
    for (const isW of [true, false]) {
      const x = isW ? W : H, up = new Float64Array(x.length), down = new Float64Array(x.length), Y = product(W, H, K);
      for (let f = 0, at = 0; f < BINS; f += 1) for (let n = 0; n < N; n += 1, at += 1) {
        const y = Math.max(Y[at], floor);
        const power = beta === 1 ? 1 / y : beta === 2 ? 1 : beta === 0 ? 1 / (y * y)
          : beta === 0.5 ? 1 / (y * Math.sqrt(y)) : beta === 1.5 ? 1 / Math.sqrt(y) : y ** (beta - 2);
        for (let k = 0; k < K; k += 1) {
          const w = f * K + k, h = k * N + n, i = isW ? w : h, other = isW ? H[h] : W[w];
          up[i] += data[at] * power * other;
          down[i] += y * power * other;
        }
      }
      x.forEach((value, i) => { x[i] = down[i] > 0 ? value * (up[i] / down[i]) ** gamma : 0; });
    }
  };
  const divergence = ({ W, H }) => sum(product(W, H, K).map((value, at) => {
    const x = data[at], y = Math.max(value, floor);
    if (beta === 0) return x / y - Math.log(x / y) - 1;
    if (beta === 1) return (x > 0 ? x * Math.log(x / y) : 0) - x + y;
    return (x ** beta + (beta - 1) * y ** beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1));
  }));
  return { iterate, divergence };
}

// ---------------------------------------------------------------- from components to sounds

function owners({ W, H }, K, [one, two]) { // of each component, the source that has most of its energy where it is
  return Array.from({ length: K }, (_, k) => {
    let [balance, N] = [0, H.length / K];
    for (let f = 0; f < BINS; f += 1) for (let n = 0; n < N; n += 1) {
      const a = one[f * N + n], b = two[f * N + n];
      if (a + b > 0) balance += (W[f * K + k] * H[k * N + n] * (a - b)) / (a + b);
    }
    return balance >= 0 ? 0 : 1;
  });
}

function shared(X, { W, H }, K, owner, length) { // two signals that add up to the mixture: masks, inverse STFT
  const all = product(W, H, K);
  return [0, 1].map((j) => {
    const own = product(W.map((w, i) => (owner[i % K] === j ? w : 0)), H, K);
    return inverse(X, own.map((part, at) => (all[at] > 0 ? part / all[at] : 0.5)), length);
  });
}

const sdr = (s, e) => 10 * Math.log10(sum(s.map((v) => v * v)) / sum(s.map((v, i) => (v - e[i]) ** 2)));

function wav(signals) { // addresses of WAV files of 16 bits, the loudest sample of all at -1 dBFS
  const peak = Math.max(...signals.map((x) => largest(x.map(Math.abs))));
  return signals.map((x) => {
    const view = new DataView(new ArrayBuffer(44 + 2 * x.length));
    [0x52494646, 36 + 2 * x.length, 0x57415645, 0x666d7420, 16, 0x10001, RATE, 2 * RATE, 0x100002, 0x64617461, 2 * x.length]
      .forEach((word, i) => view.setUint32(4 * i, word, ![0, 2, 3, 9].includes(i)));
    x.forEach((v, i) => view.setInt16(44 + 2 * i, Math.round((29204 * v) / peak), true));
    return URL.createObjectURL(new Blob([view], { type: "audio/wav" }));
  });
}

// ---------------------------------------------------------------- the figure

const HUES = ["#0072B2", "#D55E00"], MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];
const SECONDS = 2 * Math.PI, SHOWN = 21, ITERATIONS = 60, LEAST = 6; // bins up to 312 Hz

function spectrogram(V, N) { // the bins that are shown, 60 dB of them, as a small canvas
  const canvas = make("canvas", { width: N, height: SHOWN }), context = canvas.getContext("2d");
  const pixels = context.createImageData(N, SHOWN), peak = largest(V);
  for (let f = 0; f < SHOWN; f += 1) for (let n = 0; n < N; n += 1) {
    const level = 4 * Math.max(0, 1 + Math.log10(V[f * N + n] / peak) / 3), low = Math.min(3, Math.floor(level));
    const colour = MAGMA[low].map((value, i) => value + (level - low) * (MAGMA[low + 1][i] - value));
    pixels.data.set([...colour, 255], 4 * ((SHOWN - 1 - f) * N + n));
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function draw(canvas, { W, H }, K, owner, picture, title) { // columns of W at the left, V in the centre, rows of H above it
  const c = canvas.getContext("2d"), N = H.length / K, width = canvas.width / 2;
  const [left, top, right, bottom] = [60 + 34 * K, 26 + 30 * K, width - 12, 370];
  const height = (f) => bottom - ((f + 0.5) / SHOWN) * (bottom - top), bin = (hertz) => height((hertz * SIZE) / RATE);
  const peaks = Array.from({ length: K }, (_, k) => largest(W.filter((_, i) => i % K === k)));
  const places = peaks.map((peak, k) => W.findIndex((w, i) => i % K === k && w === peak));
  const order = [...peaks.keys()].sort((a, b) => places[a] - places[b]); // the lowest first
  const loudest = largest(H.map((h, i) => h * peaks[Math.floor(i / N)]));
  c.setTransform(2, 0, 0, 2, 0, 0);
  Object.assign(c, { fillStyle: "white", imageSmoothingEnabled: false }).fillRect(0, 0, width, 400);
  c.drawImage(picture, left, top, right - left, bottom - top);
  const write = (words, x, y, textAlign = "center") =>
    Object.assign(c, { font: "13px sans-serif", fillStyle: "#222", textAlign }).fillText(words, x, y);
  [0, 80, 159, 250].forEach((hertz) => write(hertz, 44, bin(hertz) + 4, "right"));
  [0, 1, 2, 3, 4, 5, 6].forEach((second) => write(second || "0 s", left + (second / SECONDS) * (right - left), bottom + 15));
  write("Hz", 44, top + 6, "right");
  write("columns of W ↓", 2, 14, "left");
  write("rows of H, and V in dB", left, 14, "left");
  write(title, right, bottom + 29, "right");
  order.forEach((k, number) => {
    const x = 52 + 34 * number, base = top - 4 - 30 * (K - 1 - number);
    c.fillStyle = HUES[owner[k]];
    c.beginPath();
    c.moveTo(x, height(0));
    for (let f = 0; f < SHOWN; f += 1) c.lineTo(x + (28 * W[f * K + k]) / peaks[k], height(f));
    c.lineTo(x, height(SHOWN - 1));
    c.moveTo(left, base);
    for (let n = 0; n < N; n += 1) c.lineTo(left + (n / (N - 1)) * (right - left), base - (26 * H[k * N + n] * peaks[k]) / loudest);
    c.lineTo(right, base);
    c.fill();
    write(number + 1, x + 8, bottom + 15);
    write(number + 1, left - 8, base, "right");
  });
}

function computes(figure) {
  const rates = Array.from({ length: 156 }, (_, i) => (i < 96 ? 5 + i : 100 + 5 * (i - 95)) / 10), at = (rate) => rates.indexOf(rate);
  const betas = [0, 0.5, 1, 1.5, 2], named = ["IS", "IS–KL", "KL", "KL–Euclidean", "Euclidean"];
  const facts = [["rate α (rad/s)", rates, at(1)], ["rate β (rad/s)", rates, at(2)], ["r", [1, 2, 3, 4], 1], ["divergence", named, 2]];
  const controls = facts.map(([label, values, start], i) => control({ label, values: values.map(String), start }, `computed-${i}`, () => compute()));
  const labels = ["mixture", "separated 1", "separated 2"], player = new Player(labels), files = [];
  const said = make("p", { className: "said", ariaLive: "polite" }), still = figure.querySelector("img");
  const canvas = make("canvas", { width: 2 * Math.max(320, Math.min(640, figure.clientWidth - 26)), height: 800, role: "img", ariaLabel: still.alt });
  let newest = 0, seed = 0;

  async function compute() {
    const asked = ++newest, [alpha, beta, r, d] = controls.map(({ place }, i) => facts[i][1][place()]);
    const truth = tones(alpha, beta, SECONDS), mixture = truth[0].map((value, i) => value + truth[1][i]);
    const X = stft(mixture), picture = spectrogram(X.modulus, X.N), sources = truth.map((x) => stft(x).modulus);
    const model = start(X.modulus, r, seed), { iterate, divergence } = rules(X.modulus, r, betas[named.indexOf(d)]);
    for (let done = 0; done < ITERATIONS;) { // as many as a frame has time for, in groups of LEAST
      for (const until = performance.now() + 14; done < ITERATIONS && (done % LEAST || performance.now() < until); done += 1) iterate(model);
      draw(canvas, model, r, owners(model, r, sources), picture, `after ${done} iterations D = ${Number(divergence(model).toPrecision(3))}`);
      await new Promise((next) => setTimeout(next));
      if (asked !== newest) return;
    }
    const parts = shared(X, model, r, owners(model, r, sources), mixture.length);
    const found = parts.map((part, j) => (Math.round(10 * sdr(truth[j], part)) / 10 + 0).toFixed(1));
    said.textContent = `SDR source 1: ${found[0]} dB, source 2: ${found[1]} dB`;
    files.splice(0, 3, ...wav([mixture, ...parts])).forEach((file) => setTimeout(() => URL.revokeObjectURL(file), 1000));
    player.set(Object.fromEntries(labels.map((label, i) => [label, files[i]])));
    figure.dataset.shown = [alpha, beta, r, d, seed].join(" ");
  }

  const go = (places) => { places.forEach((place, i) => controls[i].set(place)); seed = places === presets.Reset ? 0 : seed; compute(); };
  const presets = { "slides: 1, 2": [at(1), at(2)], "fast: 23, 31": [at(23), at(31)], equal: [at(3), at(3)], Reset: facts.map(([, , place]) => place) };
  const buttons = Object.entries(presets).map(([label, places]) => make("button", { type: "button", onclick: () => go(places) }, label));
  buttons.push(make("button", { type: "button", onclick: () => { seed += 1; compute(); } }, "another random start"));
  const rows = [...controls.map(({ row }) => make("div", { className: "control" }, ...row)), make("div", { className: "buttons" }, ...buttons)];
  figure.prepend(make("div", { className: "controls" }, ...rows), canvas, said, player.element);
  still.remove();
  figure.classList.add("explore", "live");
  addEventListener("load", async () => { await window.MathJax?.startup?.promise; setTimeout(compute, 300); }); // text and formulas first
}

document.querySelectorAll("figure.computes").forEach(computes);
