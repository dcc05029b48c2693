"use strict";
const about = (h) => h.classes.length + " classes: " + h.classes.slice(0, 12).join(", ") + (h.classes.length > 12 ? ", …" : "");

async function show(file) {
  const [image, box] = begin(file);
  try {
    const found = await ask("/predict", file);
    add(box, "b", found.abstain ? "No answer" : found.label);
    add(box, "span", found.abstain ? "" : "  " + percent(found.confidence));
    if (found.why) add(box, "p", found.why, "why");
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
        const told = await ask("/explain", file);
        if (told.picture) {
          Object.assign(image, { src: told.picture, alt: "the places that " + told.label + " hangs on" });
          why.replaceWith(Object.assign(document.createElement("p"), { className: "set", textContent: "Orange places speak for " + told.label + ", blue ones against it: covering them changes the answer." }));
        }
      } catch (error) {
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
