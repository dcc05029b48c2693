"use strict";
const count = (n) => n.toLocaleString("en");
const about = (h) => h.detector.split("(")[0] + ": finds what looks unlike " + count(h.good) + " good parts. At most " + +(100 * h.alarms).toPrecision(3) + " of 100 good parts like those are flagged.";
const seen = { items: 0, flagged: 0 };

async function show(file) {
  const [image, box] = begin(file);
  image.parentElement.classList.add("wide");
  try {
    const found = await ask("/predict?map=true", file);
    seen.items += 1;
    seen.flagged += found.flagged;
    at("sum").textContent = count(seen.flagged) + " of " + count(seen.items) + " flagged";
    const plain = image.src;
    const under = "heat map of " + file.name;
    Object.assign(image, { src: found.map, alt: under });
    add(box, "b", found.flagged ? "▲ Flagged" : "✓ Not flagged", found.flagged ? "bad" : "fine");
    add(box, "p", file.name, "name");
    add(box, "p", found.why + ".", "odd");
    add(box, "p", "p-value " + found.p_value.toPrecision(2) + " · score " + found.score.toPrecision(3), "set");
    const way = add(box, "button", "Without the map");
    way.setAttribute("aria-pressed", "false");
    way.addEventListener("click", () => {
      const bare = way.getAttribute("aria-pressed") === "false";
      way.setAttribute("aria-pressed", String(bare));
      Object.assign(image, bare ? { src: plain, alt: file.name } : { src: found.map, alt: under });
    });
  } catch (error) {
    add(box, "p", file.name + ": " + error.message, "why");
  }
}
