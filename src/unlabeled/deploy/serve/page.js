"use strict";
const at = (id) => document.getElementById(id);
const add = (parent, tag, text = "", name = "") => {
  const e = document.createElement(tag);
  e.textContent = text;
  if (name) e.className = name;
  parent.append(e);
  return e;
};
const percent = (x) => (100 * x).toFixed(1) + " %";

async function ask(path, file) {
  const body = new FormData();
  body.append("files", file);
  const key = at("key").value;
  const answer = await fetch(path, { method: "POST", body, headers: key ? { "X-API-Key": key } : {} });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told.items[0];
}

// A line for a file: its picture, and a box for what is said of it.
function begin(file) {
  const line = document.createElement("li");
  at("found").prepend(line);
  const image = add(line, "img", "", "item");
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  return [image, add(line, "div")];
}

// `show(file)` and `about(health)` stand in the other script: they differ with what is served.
async function all(files) {
  for (const file of files) await show(file);
}

const drop = at("drop");
at("files").addEventListener("change", (e) => all([...e.target.files]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (e) => {
    e.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") all([...e.dataTransfer.files]);
  });
}
fetch("/health").then((r) => r.json()).then((h) => {
  at("name").textContent = h.model;
  at("about").textContent = about(h);
});
