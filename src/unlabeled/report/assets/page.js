"use strict";
// Draws the figures in the page's colours, lets selects choose what is shown, and shows items on the maps.
(() => {
  const specs = JSON.parse(document.getElementById("figures").textContent);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const narrow = matchMedia("(max-width: 600px)");
  const pointer = matchMedia("(hover: hover)");

  // ---- figures -------------------------------------------------------------------------------------------------

  // Colours stand in the figures as CSS variables, "var(--ink)".
  function fill(value, style) {
    if (typeof value === "string") {
      return value.startsWith("var(--") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((v) => fill(v, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, style)]));
    }
    return value;
  }

  function layout(own, zoom) {
    const axis = {
      gridcolor: "var(--line)", linecolor: "var(--line)", tickcolor: "var(--line)", zeroline: false, automargin: true,
      tickfont: { color: "var(--soft)", size: 12 }, fixedrange: !zoom,
    };
    const title = (a) => (a && a.title ? { title: { standoff: 8, font: { color: "var(--soft)", size: 13 }, ...a.title } } : {});
    return {
      margin: { l: narrow.matches ? 44 : 56, r: 12, t: 12, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
      dragmode: zoom ? "zoom" : false, font: { family: "system-ui, sans-serif", size: 13, color: "var(--ink)" },
      hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--ink)", size: 13 }, align: "left" },
      ...own,
      xaxis: { ...axis, ...own.xaxis, ...title(own.xaxis) },
      yaxis: { ...axis, ...own.yaxis, ...title(own.yaxis) },
    };
  }

  function draw(node) {
    const spec = specs[node.dataset.figure];
    if (!spec) return;
    const style = getComputedStyle(document.documentElement);
    const map = node.closest(".map") !== null;
    const whole = fill({ data: spec.data, layout: layout(spec.layout, map && pointer.matches) }, style);
    const first = !node.dataset.drawn;
    node.dataset.drawn = "yes";
    Plotly.react(node, whole.data, whole.layout, { displayModeBar: false, responsive: true, doubleClick: "reset" }).then(() => {
      if (first && map) watch(node);
      bringOut(node);
    });
  }

  const seen = (node) => node.closest("[hidden]") === null;
  const drawShown = (root) => all(".plot:not([data-drawn])", root).filter(seen).forEach(draw);
  const redraw = () => all(".plot[data-drawn]").forEach((node) => {
    if (seen(node)) draw(node);
    else delete node.dataset.drawn;
  });

  // ---- legends: a pressed name brings its curve or class out -----------------------------------------------------

  function bringOut(node) {
    const pressed = all('.legend button[aria-pressed="true"]')
      .filter((b) => b.dataset.figures.split(" ").includes(node.dataset.figure))
      .map((b) => b.dataset.group);
    const opacity = node.data.map((t) => (!pressed.length || pressed.includes(t.legendgroup) ? 1 : 0.12));
    if (pressed.length || node.dataset.pressed) Plotly.restyle(node, { opacity });
    node.dataset.pressed = pressed.length ? "yes" : "";
  }

  for (const button of all(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      const names = button.dataset.figures.split(" ");
      all(".plot[data-drawn]").filter((n) => names.includes(n.dataset.figure)).forEach(bringOut);
    });
  }

  // ---- selects ---------------------------------------------------------------------------------------------------

  for (const picker of all(".picker")) {
    const panels = all(`[data-of="${picker.dataset.picks}"]`);
    const choose = () => {
      const key = all("select", picker).map((s) => s.value).join("-");
      const there = panels.some((p) => p.dataset.key === key);
      panels.forEach((p) => { p.hidden = p.dataset.key !== (there ? key : "none"); });
      hide();
      panels.filter((p) => !p.hidden).forEach(drawShown);
    };
    picker.addEventListener("change", choose);
    if (all("select", picker).some((s) => s.selectedIndex !== all("option", s).findIndex((o) => o.defaultSelected))) {
      addEventListener("load", choose); // the browser kept an earlier choice
    }
  }

  // ---- maps: a point shows its item, here and on the map beside it -------------------------------------------------

  const card = document.getElementById("card");
  const items = specs["map-items"];
  let current = null;

  function find(node, item) {
    for (const trace of node.data) {
      const k = trace.customdata ? trace.customdata.indexOf(item) : -1;
      if (k >= 0) return [trace.x[k], trace.y[k]];
    }
    return null;
  }

  function spot(node, item) {
    const at = find(node, item);
    if (!at || !node._fullLayout) return null;
    const { xaxis, yaxis } = node._fullLayout;
    return [xaxis._offset + xaxis.d2p(at[0]), yaxis._offset + yaxis.d2p(at[1])];
  }

  function show(pair, node, item) {
    const facts = items.items[item];
    current = item;
    const thumb = card.querySelector(".thumb");
    thumb.style.setProperty("--x", facts.at % items.columns);
    thumb.style.setProperty("--y", Math.floor(facts.at / items.columns));
    card.querySelector("b").textContent = facts.c;
    card.querySelector("small").textContent = facts.p;
    card.hidden = false;
    for (const plot of all(".plot", pair)) {
      const at = spot(plot, item);
      if (!at) continue;
      let ring = plot.querySelector(".ring");
      if (!ring) {
        ring = document.createElement("i");
        ring.className = "ring";
        plot.append(ring);
      }
      ring.style.transform = `translate(${at[0]}px, ${at[1]}px)`;
    }
    const [x, y] = spot(node, item);
    const box = node.getBoundingClientRect();
    const size = card.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + x + 16), document.documentElement.clientWidth - size.width - 8);
    const above = box.top + y - size.height - 16;
    card.style.left = `${left}px`;
    card.style.top = `${above > 8 ? above : box.top + y + 16}px`;
  }

  function hide() {
    current = null;
    if (card) card.hidden = true;
    all(".ring").forEach((ring) => ring.remove());
  }

  function watch(node) {
    const pair = node.closest(".map");
    const tell = (event) => {
      const item = event.points[0].customdata;
      if (item !== undefined) show(pair, node, item);
    };
    node.on("plotly_hover", tell);
    node.on("plotly_click", tell); // a tap
    node.on("plotly_unhover", () => { if (pointer.matches) hide(); });
  }

  for (const pair of all(".pair.map")) {
    const order = items ? Object.keys(items.items).map(Number) : [];
    pair.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const from = current === null ? (step > 0 ? -1 : 0) : order.indexOf(current);
      const plots = all(".plot", pair);
      show(pair, plots[plots.length - 1], order[(from + step + order.length) % order.length]);
    });
    pair.addEventListener("blur", hide);
  }
  addEventListener("scroll", () => { if (current !== null) hide(); }, { passive: true });

  // ---- the rest --------------------------------------------------------------------------------------------------

  for (const button of all("[data-copy]")) {
    button.addEventListener("click", () => {
      const text = document.getElementById(button.dataset.copy);
      const done = () => {
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      };
      const mark = () => getSelection().selectAllChildren(text); // at least it is marked, ready to be copied by hand
      if (navigator.clipboard) navigator.clipboard.writeText(text.textContent).then(done, mark);
      else mark();
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
  drawShown(document);
})();
