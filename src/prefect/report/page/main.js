// The page as a whole: what is chosen, filtered and shown; keys, colours, print, and runs that still go on.
const S = { picked: null, group: null, detail: false };
const clock = (ticks) => new Date((D.started + ticks / 1e4) * 1e3).toLocaleTimeString();

const waiting = new Set();
function soon(draw) {
  if (waiting.has(draw)) return;
  waiting.add(draw);
  requestAnimationFrame(() => { waiting.delete(draw); draw(); });
}

function tip(text, event) {
  const box = $("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  const { offsetWidth: w, offsetHeight: h } = box;
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - w - 8))}px`;
  box.style.top = `${event.clientY + 18 + h > innerHeight ? event.clientY - h - 10 : event.clientY + 18}px`;
}

function pick(unit, open = true) {
  S.picked = unit;
  S.group = null;
  if (unit.parent && !isFiltering() && !L.open.has(unit.task.number)) unfold(unit.parent, true);
  mark();
  const n = L.table.items.indexOf(unit);
  if (n >= 0) L.table.show(n);
  if (open || S.detail) openDetail();
  soon(reachBox);
  soon(drawTimeline);
}

function pickGroup(box) {
  S.picked = null;
  S.group = box.n;
  mark();
  openDetail();
  soon(drawTimeline);
}

function mark() {
  markGraph();
  let active = "";
  for (const row of L.table.shown.values()) {
    row.classList.toggle("on", row.unit === S.picked);
    if (row.unit === S.picked) active = row.id;
  }
  if (active) $("table").setAttribute("aria-activedescendant", active);
  else $("table").removeAttribute("aria-activedescendant");
}

function refilter() {
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", F.states.has(chip.dataset.state));
  L.table.view.scrollTop = 0;
  fillTable();
  fillLog();
  soon(drawTimeline);
  if (S.detail) openDetail();
}

function summarise() {
  const over = D.ended !== null, state = D.state || (D.live ? "Running" : "Cancelled");
  document.title = `${D.flow}: ${over ? word(state).toLowerCase() : "running"}`;
  $("name").textContent = D.flow;
  colour($("badge"), state).textContent = D.state ? word(D.state) : D.live ? "Running" : "No end recorded";
  const parts = [new Date(D.started * 1e3).toLocaleString(), D.run, ...D.facts.filter(([name]) => ["Executor", "Place", "Machine"].includes(name)).map(([, value]) => value)];
  $("when").textContent = parts.join("  ·  ");
  $("message").hidden = !D.message;
  $("message").textContent = D.message;
  const span = over ? D.ended : D.now;
  let busy = 0, tries = 0, again = 0;
  for (const unit of M.leaves) { busy += unit.spent; tries += unit.tries.length; again += unit.tries.filter((one) => one.state === "Retrying").length; }
  const get = (name) => M.counts.get(name) || 0;
  const failed = get("Failed") + get("TimedOut") + get("ValidationFailed");
  const rate = span && tries ? tries / (span / 1e4) : 0;
  const tiles = [
    [over ? "Duration" : "So far", time(span)],
    ["Tasks run", count(M.total), M.mapped ? `${count(M.tasks.length)} in the flow` : ""],
    ["Failed", count(failed), get("TriggerFailed") ? `${count(get("TriggerFailed"))} not run after them` : ""],
    ["Retries", count(again)], ["Cached", count(get("Cached")), get("Cached") ? `${Math.round(100 * get("Cached") / M.total)}%` : ""],
    ["Busy", time(busy), span ? `${(busy / span).toFixed(1)} at a time` : ""],
    ["Rate", rate ? `${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s` : "–"],
  ];
  $("tiles").replaceChildren(...tiles.map(([name, value, more]) => {
    const tile = el("div"), shown = el("dd", "", value);
    if (more) shown.append(el("small", "", more));
    tile.append(el("dt", "", name), shown);
    return tile;
  }));
  const bar = shares(M.counts, M.total, "");
  $("share").replaceChildren(...bar.childNodes);
  $("chips").replaceChildren(...M.states.map((name) => {
    const chip = el("button", "chip");
    chip.type = "button";
    chip.dataset.state = name;
    chip.setAttribute("aria-pressed", F.states.has(name));
    chip.append(dot(name), el("span", "", word(name)), el("b", "", count(M.counts.get(name))));
    chip.addEventListener("click", () => {
      if (F.states.has(name)) F.states.delete(name); else F.states.add(name);
      refilter();
    });
    return chip;
  }));
  const groups = new Map();
  for (const unit of M.leaves) {
    if (!BAD.has(unit.state)) continue;
    const key = `${unit.task.number} ${unit.message}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(unit);
  }
  const items = [...groups.values()].slice(0, 6).map((units) => {
    const item = el("li"), [unit] = units;
    item.append(dot(unit.state), linkTo(unit), el("span", "", unit.message || word(unit.state)));
    if (units.length > 1) item.append(el("span", "soft", `and ${count(units.length - 1)} more of this task`));
    if (unit.traceback) item.append(el("pre", "paper", unit.traceback));
    return item;
  });
  if (groups.size > 6) items.push(el("li", "soft", `and ${count(groups.size - 6)} others: filter by Failed`));
  $("failures").hidden = !items.length;
  $("failures").querySelector("ul").replaceChildren(...items);
}

function about() {
  const rows = (id, pairs, none) => {
    const made = table(pairs);
    $(id).replaceChildren(...made.childNodes);
    if (!pairs.length) { const row = el("tr"); row.append(el("td", "soft", none)); $(id).append(row); }
  };
  rows("parameters", D.parameters, "The flow has none");
  rows("facts", D.facts, "Nothing is known");
  $("requirements").hidden = !D.requirements.length;
  $("requirements").querySelector("summary").textContent = plural(D.requirements.length, "requirement");
  $("requirements").querySelector("ul").replaceChildren(...D.requirements.map((text) => el("li", "mono", text)));
}

function show(data) {
  const was = S.picked;
  D = data;
  M = understand(data);
  M.mapped = M.tasks.filter((task) => task.unit.kids && task.unit.kids.length).length;
  if (was) {
    const { unit } = M.tasks[was.task.number];
    S.picked = was.index < 0 ? unit : (unit.byIndex && unit.byIndex.get(was.index)) || unit;
  }
  const from = [L.table.view.scrollTop, L.log.view.scrollTop];
  const atEnd = from[1] + L.log.view.clientHeight >= L.log.view.scrollHeight - 4;
  summarise();
  drawGraph();
  layTimeline();
  fillTable();
  fillLog();
  about();
  L.table.view.scrollTop = from[0];
  L.log.view.scrollTop = D.live && atEnd ? L.log.view.scrollHeight : from[1];
  if (S.detail && (S.picked || S.group !== null)) openDetail();
  drawTimeline();
}

function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  soon(drawTimeline);
  if (S.detail && S.picked) openDetail();
}

const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const kept = (name) => { try { if (name) localStorage.setItem("prefect-theme", name); return localStorage.getItem("prefect-theme"); } catch { return null; } };

const KEYS = [["/", "filter tasks and logs; error, a name, a worker, any word"], ["Esc", "close details, then clear the filter"],
  ["↑ ↓ j k", "go through the tasks"], ["→ ←", "open and close a mapped task"], ["Enter", "details of a task"], ["f", "next failure"],
  ["g l s a", "graph, timeline, tasks, logs"], ["+ − 0", "zoom, in the timeline"], ["t", "light or dark"], ["?", "these keys"]];

function toggleTheme() {
  const next = isDark() ? "light" : "dark";
  kept(next);
  setTheme(next);
}

function nextFailure() {
  const bad = M.leaves.filter((unit) => BAD.has(unit.state));
  if (!bad.length) return;
  pick(bad[(bad.indexOf(S.picked) + 1) % bad.length]);
}

function onKey(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (event.key === "Escape") {
    if (S.detail) closeDetail();
    else { F.text = ""; F.states.clear(); $("search").value = ""; refilter(); }
    if (typing) event.target.blur();
    return;
  }
  if (typing) {
    if (event.key === "Enter" && event.target === $("search") && L.table.items.length) { $("table").focus(); pick(L.table.items[0], false); event.preventDefault(); }
    return;
  }
  const go = { g: "graph", l: "timeline", s: "tasks", a: "logs" }[event.key];
  if (event.key === "/") $("search").focus();
  else if (event.key === "?") $("keys").showModal();
  else if (event.key === "t") toggleTheme();
  else if (event.key === "f") nextFailure();
  else if (go) {
    $(go).scrollIntoView();
    const inside = { graph: Graph.boxes.length ? Graph.boxes[0].g : null, timeline: $("timeline-view"), tasks: $("table"), logs: $("lines") }[go];
    if (inside) inside.focus({ preventScroll: true });
  } else if (["ArrowDown", "ArrowUp", "j", "k"].includes(event.key) && event.target === document.body) {
    $("table").focus();
    $("table").dispatchEvent(new KeyboardEvent("keydown", { key: event.key, bubbles: false }));
  } else return;
  event.preventDefault();
}

async function follow(path) {
  let tag = "", wait = 1000;
  for (;;) {
    try {
      const reply = await fetch(path, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (reply.status === 200) {
        tag = reply.headers.get("ETag") || "";
        const began = performance.now();
        show(await reply.json());
        wait = Math.max(1000, 10 * (performance.now() - began));
      }
      $("live").textContent = "live";
      if (!D.live) { $("live").hidden = true; return; }
    } catch {
      $("live").textContent = "no longer served";
      wait = 5000;
    }
    await new Promise((done) => { setTimeout(done, wait); });
  }
}

function begin() {
  const root = document.documentElement;
  const theme = kept();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  startLists();
  startGraph();
  startTimeline();
  $("search").addEventListener("input", () => { F.text = $("search").value.trim().toLowerCase(); refilter(); });
  $("theme").addEventListener("click", toggleTheme);
  $("help").addEventListener("click", () => $("keys").showModal());
  $("keys").querySelector("table").append(...KEYS.map(([key, what]) => {
    const row = el("tr"), name = el("th");
    name.append(...key.split(" ").flatMap((each) => [el("kbd", "", each), " "]));
    row.append(name, el("td", "", what));
    return row;
  }));
  document.addEventListener("keydown", onKey);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(root.dataset.theme));
  new ResizeObserver(() => soon(drawTimeline)).observe($("timeline-view"));
  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme || "";
    root.dataset.theme = "light";
    L.table.all = L.log.all = true;
    L.table.draw();
    L.log.draw();
    drawTimeline();
  });
  addEventListener("afterprint", () => {
    L.table.all = L.log.all = false;
    setTheme(before);
    L.table.draw();
    L.log.draw();
  });
  show(JSON.parse($("data").textContent));
  if (root.dataset.live && D.live) { $("live").hidden = false; $("live").textContent = "live"; follow(root.dataset.live); }
}
begin();
