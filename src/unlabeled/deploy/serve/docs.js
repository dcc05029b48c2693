"use strict";
fetch("/openapi.json").then((r) => r.json()).then((api) => {
  document.getElementById("about").textContent = api.info.description;
  const list = document.getElementById("routes");
  for (const [path, ways] of Object.entries(api.paths)) {
    for (const [way, told] of Object.entries(ways)) {
      const head = document.createElement("h2");
      head.textContent = way.toUpperCase() + " " + path;
      const text = document.createElement("p");
      const settings = (told.parameters || []).map((p) => p.name + " (" + (p.schema.default ?? (p.required ? "needed" : "not given")) + ")");
      text.textContent = told.summary + (settings.length ? ". Settings: " + settings.join(", ") : "") + ".";
      const code = document.createElement("pre");
      code.textContent = "curl " + (told.security ? "-H 'X-API-Key: KEY' " : "") + (way === "post" ? "-F files=@item.png " : "") + (told.responses["200"].content["image/png"] ? "-o map.png " : "") + location.origin + path;
      list.append(head, text, code);
    }
  }
});
