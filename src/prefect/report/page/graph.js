// The graph: boxes stand where Python has put them; here they get their states.
const SVG = "http://www.w3.org/2000/svg";
const shape = (tag, attributes) => {
  const made = document.createElementNS(SVG, tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  return made;
};
const Graph = { boxes: [], scale: null, svg: null, fits: true };

function drawGraph() {
  const { w, h, boxes, arrows } = D.graph, view = $("graph-view");
  const had = document.activeElement && document.activeElement.classList.contains("box") ? Number(document.activeElement.dataset.n) : -1;
  const svg = shape("svg", { viewBox: `0 0 ${w} ${h}`, role: "group", "aria-label": "Tasks and what they wait for" });
  const marker = shape("marker", { id: "a", viewBox: "0 0 8 8", refX: 4, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" });
  const tip = shape("path", { d: "M0 0L8 4L0 8Z" });
  tip.style.fill = "var(--edge)";
  marker.append(tip);
  svg.append(marker);
  Graph.arrows = arrows.map(([up, down, mapped, d]) => {
    const path = shape("path", { class: mapped ? "e m" : "e", d, "marker-end": "url(#a)" });
    svg.append(path);
    return { up, down, path };
  });
  Graph.boxes = boxes.map(([x, y, width, label, kind, members], n) => {
    const tasks = members.map((t) => M.tasks[t]);
    const box = { n, x, y, width, tasks, g: shape("g", { class: "box", role: "button", tabindex: n ? -1 : 0, "data-n": n }) };
    const frame = { width, height: 30, rx: kind & 2 ? 15 : 5, class: "b" };
    if (kind & 1) box.g.append(shape("rect", { ...frame, x: x + 4, y: y + 4 }));
    box.g.append(shape("rect", { ...frame, x, y }));
    box.label = label;
    box.name = shape("text", { x: x + 12, y: y + 17 });
    box.g.append(box.name);
    const counts = new Map();
    let total = 0, bad = false;
    for (const { unit } of tasks) {
      for (const [state, many] of unit.counts && unit.counts.size ? unit.counts : [[unit.state, 1]]) {
        counts.set(state, (counts.get(state) || 0) + many);
        total += many;
        bad = bad || BAD.has(state);
      }
    }
    let left = x + 8;
    const sorted = [...counts.keys()].sort((a, b) => rank(a) - rank(b));
    for (const state of sorted) {
      const part = (width - 16) * counts.get(state) / total;
      const line = colour(shape("rect", { x: left, y: y + 23, width: Math.max(part, 1), height: 3 }), state);
      line.style.fill = "var(--c)";
      box.g.append(line);
      left += part;
    }
    const many = Math.max(total, tasks.length);
    if (many > 1) {
      const shown = shape("text", { class: "n", x: x + width - 10, y: y + 17, "text-anchor": "end" });
      shown.textContent = `×${count(many)}`;
      box.g.append(shown);
      box.many = shown;
    }
    if (bad) box.g.classList.add("bad");
    if (!["Success", "Pending"].includes(sorted[0])) {
      const mark = colour(shape("g", { class: "mark", "aria-hidden": "true" }), sorted[0]), name = shape("text", { x: x + 2, y: y + 5.5 });
      name.textContent = MARKS[sorted[0]] || "";
      mark.append(shape("circle", { cx: x + 2, cy: y + 2, r: 7 }), name);
      box.g.append(mark);
    }
    box.title = `${tasks.length > 1 ? plural(tasks.length, "task") : tasks[0].slug}: ${sorted.map((s) => `${count(counts.get(s))} ${word(s).toLowerCase()}`).join(", ")}`;
    box.g.setAttribute("aria-label", box.title);
    svg.append(box.g);
    return box;
  });
  view.replaceChildren(svg);
  Graph.svg = svg;
  if (Graph.fits) fitGraph();
  else zoomGraph(Graph.scale);
  if (had >= 0 && Graph.boxes[had]) Graph.boxes[had].g.focus({ preventScroll: true });
  const grouped = Graph.boxes.length < M.tasks.length;
  $("graph-note").textContent = `${plural(M.tasks.length, "task")}${grouped ? `, drawn as ${Graph.boxes.length} groups of what is alike` : ""}`;
}

function fitGraph() {
  const view = $("graph-view");
  Graph.fits = true;
  // As wide as there is room; what would be too small to read even so is scrolled.
  const fit = Math.max(view.clientWidth - 2, 200) / D.graph.w;
  zoomGraph(fit > 1 ? Math.min(1.3, fit, Math.max(1, 400 / D.graph.h)) : fit >= 0.5 ? fit : 0.8);
}

function zoomGraph(scale) {
  Graph.scale = Math.min(2.5, Math.max(0.2, scale));
  Graph.svg.setAttribute("width", Math.round(D.graph.w * Graph.scale));
  Graph.svg.setAttribute("height", Math.round(D.graph.h * Graph.scale));
  // Labels stay readable: larger in smaller boxes, of which they show what fits, and rather a name than a count.
  const size = Math.min(19, Math.max(12, 9.5 / Graph.scale)), small = Math.max(11, size * 0.8), letter = 0.62;
  for (const { label, width, name, many } of Graph.boxes) {
    const whole = width - 20, beside = whole - (many ? (many.textContent.length + 1) * letter * small : 0);
    const shows = many && beside >= Math.min(label.length, 6) * letter * size;
    if (many) {
      many.style.fontSize = `${small}px`;
      many.style.display = shows ? "" : "none";
    }
    const most = Math.max(3, Math.floor((shows ? beside : whole) / (letter * size)));
    name.style.fontSize = `${size}px`;
    name.textContent = size === 12 || label.length <= most ? label : `${label.slice(0, most - 1)}…`;
  }
}

function markGraph() {
  const chosen = S.picked && S.picked.task;
  const filtering = isFiltering();
  for (const box of Graph.boxes) {
    box.g.classList.toggle("on", Boolean(S.group ? S.group === box.n : chosen && box.tasks.includes(chosen)));
    box.g.classList.toggle("dim", filtering && !box.tasks.some(({ unit }) => fits(unit) || (unit.kids && unit.kids.some(fits))));
  }
  const on = new Set(Graph.boxes.filter((box) => box.g.classList.contains("on")).map((box) => box.n));
  for (const { up, down, path } of Graph.arrows) path.classList.toggle("on", on.has(up) || on.has(down));
}

// Have the box of what was picked be seen, without moving the page.
function reachBox() {
  const view = $("graph-view"), box = Graph.boxes.find(({ g }) => g.classList.contains("on"));
  if (!box) return;
  const inside = view.getBoundingClientRect(), at = box.g.getBoundingClientRect();
  if (at.left < inside.left) view.scrollLeft += at.left - inside.left - 20;
  else if (at.right > inside.right) view.scrollLeft += at.right - inside.right + 20;
  if (at.top < inside.top) view.scrollTop += at.top - inside.top - 20;
  else if (at.bottom > inside.bottom) view.scrollTop += at.bottom - inside.bottom + 20;
}

function boxOf(target) {
  const g = target.closest ? target.closest(".box") : null;
  return g ? Graph.boxes[Number(g.dataset.n)] : null;
}

function openBox(box) {
  if (box.tasks.length > 1) pickGroup(box);
  else pick(box.tasks[0].unit);
}

function stepInGraph(box, key) {
  const dx = { ArrowLeft: -1, ArrowRight: 1 }[key] || 0, dy = { ArrowUp: -1, ArrowDown: 1 }[key] || 0;
  let best = null, least = Infinity;
  for (const other of Graph.boxes) {
    const x = (other.x - box.x) * (dx || 1), y = (other.y - box.y) * (dy || 1);
    const along = dx ? x : y, aside = Math.abs(dx ? y : x);
    if (other === box || along <= 1) continue;
    const far = along + 2 * aside;
    if (far < least) { best = other; least = far; }
  }
  if (best) {
    for (const { g } of Graph.boxes) g.setAttribute("tabindex", -1);
    best.g.setAttribute("tabindex", 0);
    best.g.focus();
  }
}

function startGraph() {
  const view = $("graph-view");
  let width = 0;
  new ResizeObserver(() => {
    if (view.clientWidth === width) return;
    width = view.clientWidth;
    if (Graph.fits && Graph.svg) fitGraph();
    reachBox();
  }).observe(view);
  view.addEventListener("click", (event) => { const box = boxOf(event.target); if (box && !Graph.dragged) openBox(box); });
  view.addEventListener("keydown", (event) => {
    const box = boxOf(event.target);
    if (!box) return;
    if (event.key === "Enter" || event.key === " ") openBox(box);
    else if (event.key.startsWith("Arrow")) stepInGraph(box, event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  view.addEventListener("pointermove", (event) => { const box = boxOf(event.target); tip(box && box.title, event); });
  view.addEventListener("pointerleave", () => tip(null));
  view.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType !== "mouse") return;
    const from = [event.clientX, event.clientY, view.scrollLeft, view.scrollTop];
    Graph.dragged = false;
    const move = (e) => {
      if (Math.hypot(e.clientX - from[0], e.clientY - from[1]) > 4) Graph.dragged = true;
      view.scrollTo(from[2] + from[0] - e.clientX, from[3] + from[1] - e.clientY);
    };
    const stop = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", stop); };
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop);
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    Graph.fits = false;
    zoomGraph(Graph.scale * (event.deltaY < 0 ? 1.12 : 1 / 1.12));
  }, { passive: false });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      const way = Number(button.dataset.zoom);
      Graph.fits = !way;
      if (way) zoomGraph(Graph.scale * (way > 0 ? 1.25 : 0.8));
      else fitGraph();
    });
  }
}
