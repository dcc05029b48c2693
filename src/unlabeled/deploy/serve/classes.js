"use strict";
const WHAT = { series: "recordings", audio: "sounds", text: "texts" };
const about = (h) => {
  const what = WHAT[h.modality];
  if (what) {
    at("drop").firstChild.textContent = "Drop " + what + " here, or choose them";
    at("files").removeAttribute("accept");
    at("files").setAttribute("aria-label", what);
  }
  return told(h);
};
const told = (h) => h.classes.length + " classes: " + h.classes.slice(0, 12).join(", ") + (h.classes.length > 12 ? ", …" : "");

// What has no picture is told word by word, or as a strip from its beginning to its end.
function strip(parent, found) {
  const most = Math.max(1e-12, ...found.map.map(Math.abs));
  const line = add(parent, "p", "", found.words ? "words" : "course");
  if (!found.words) line.setAttribute("aria-label", "from beginning to end");
  found.map.forEach((value, i) => {
    const part = add(line, "span", found.words ? found.words[i] : "");
    part.style.backgroundColor = (value > 0 ? "rgba(255,106,0," : "rgba(30,110,255,") + ((0.8 * Math.abs(value)) / most).toFixed(3) + ")";
    part.title = value.toFixed(2);
  });
}

async function show(file) {
  const [image, box] = begin(file);
  try {
    const found = await ask("/predict", file);
    add(box, "b", found.abstain ? "No answer" : found.label);
    add(box, "span", found.abstain ? "" : "  " + percent(found.confidence));
    if (found.why) add(box, "p", found.why, "why");
    for (const note of found.notes) add(box, "p", "Mind: " + note + ".", "why");
    add(box, "p", "Label set: " + (found.set.join(", ") || "empty") + " · strangeness " + found.strangeness.toPrecision(3), "set");
    const shares = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 5);
    for (const [label, p] of shares) {
      const bar = add(box, "div", "", "bar");
      add(bar, "span", label).title = label;
      const meter = add(bar, "progress");
      meter.value = p;
      meter.setAttribute("aria-label", label);
      add(bar, "span", percent(p));
    }
    const why = add(box, "button", "Why?");
    why.addEventListener("click", async () => {
      why.disabled = true;
      try {
        const found = await ask("/explain", file);
        const places = document.createElement("div");
        if (found.picture) Object.assign(image, { src: found.picture, alt: "the places that " + found.label + " hangs on" });
        else strip(places, found);
        add(places, "p", "Orange places speak for " + found.label + ", blue ones against it: covering them changes the answer.", "set");
        why.replaceWith(places);
      } catch (error) {
        why.disabled = false;
        add(box, "p", error.message, "why");
      }
    });
    const near = await ask("/similar?k=5", file).catch(() => []);
    const row = add(box, "div", near.length ? "Most alike: " : "", "near");
    for (const n of near) {
      const figure = add(row, "figure");
      if (n.thumbnail) Object.assign(add(figure, "img"), { src: n.thumbnail, alt: n.label });
      add(figure, "figcaption", n.label + " " + n.similarity.toFixed(2));
    }
  } catch (error) {
    add(box, "p", error.message, "why");
  }
}
