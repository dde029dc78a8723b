// The table of tasks and the log: only the rows that are seen exist.
class Rows {
  constructor(view, height, make) {
    this.view = view;
    this.space = view.querySelector(".space");
    this.height = height;
    this.make = make;
    this.items = [];
    this.shown = new Map();
    this.all = false;
    view.addEventListener("scroll", () => soon(this.draw));
  }

  fill(items) {
    this.items = items;
    this.space.style.height = `${items.length * this.height}px`;
    this.view.classList.toggle("short", items.length * this.height < 300);
    for (const row of this.shown.values()) row.remove();
    this.shown.clear();
    this.draw();
  }

  draw = () => {
    const top = this.view.scrollTop, few = this.all || this.view.classList.contains("short");
    const from = few ? 0 : Math.max(0, Math.floor(top / this.height) - 8);
    const most = this.all ? 1500 : Infinity;
    const to = Math.min(this.items.length, few ? most : Math.ceil((top + this.view.clientHeight) / this.height) + 8);
    for (const [n, row] of this.shown) {
      if (n < from || n >= to) { row.remove(); this.shown.delete(n); }
    }
    const added = document.createDocumentFragment();
    for (let n = from; n < to; n += 1) {
      if (this.shown.has(n)) continue;
      const row = this.make(this.items[n], n);
      row.style.top = `${n * this.height}px`;
      this.shown.set(n, row);
      added.append(row);
    }
    this.space.append(added);
  };

  show(n) {
    const top = n * this.height, { view } = this;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + this.height > view.scrollTop + view.clientHeight) view.scrollTop = top + this.height - view.clientHeight;
  }
}

const COLUMNS = [
  ["Task", "", (u) => u.label.toLowerCase()], ["Tries", "num", (u) => (u.kids ? u.kids.length : u.tries.length)],
  ["Started", "num", (u) => (u.start === null ? Infinity : u.start)], ["Duration", "", (u) => took(u)],
  ["Worker", "", (u) => u.worker], ["Message, or why it ran or did not", "", (u) => u.message || u.why],
];
const took = (unit) => (unit.start === null || unit.end === null ? 0 : unit.end - unit.start);
const L = { table: null, log: null, sort: -1, down: false, open: new Set(), longest: 1 };

function taskRow(unit, n) {
  const row = el("div", "row");
  row.id = `row-${n}`;
  row.setAttribute("role", "row");
  row.setAttribute("aria-rowindex", n + 1);
  row.classList.toggle("on", unit === S.picked);
  row.unit = unit;
  const cells = COLUMNS.map(([, kind]) => { const cell = el("div", kind); cell.setAttribute("role", "gridcell"); row.append(cell); return cell; });
  const [name, tries, start, long, worker, message] = cells;
  name.classList.add("task");
  if (unit.kids && unit.kids.length && !isFiltering()) {
    const fold = el("button", "fold", L.open.has(unit.task.number) ? "▼" : "▶");
    fold.type = "button";
    fold.tabIndex = -1;
    fold.setAttribute("aria-label", L.open.has(unit.task.number) ? "Close" : "Open");
    name.append(fold);
    row.setAttribute("aria-expanded", L.open.has(unit.task.number));
  } else if (M.mapped) name.append(el("span", unit.parent && !isFiltering() ? "fold kid" : "fold"));
  name.append(dot(unit.state), el("bdi", "", unit.label));
  name.title = unit.task.slug;
  if (unit.kids && unit.kids.length) {
    name.append(el("span", "soft", unit.missing ? `${count(unit.kids.length)} of ${count(unit.kids.length + unit.missing)}` : `×${count(unit.kids.length)}`), shares(unit.counts, unit.kids.length, "many"));
  }
  if (unit.tries.length > 1) tries.textContent = unit.tries.length;
  start.textContent = offset(unit.start);
  if (unit.start !== null) {
    const track = el("div", "track"), bar = colour(el("i"), unit.state);
    bar.style.display = "block";
    bar.style.width = `${(100 * took(unit) / L.longest).toFixed(1)}%`;
    track.append(bar);
    long.classList.add("long");
    long.append(el("span", "", time(took(unit))), track);
  }
  worker.textContent = unit.worker;
  worker.classList.add("soft");
  message.textContent = unit.message || unit.why || (unit.kids && unit.counts.size > 1 ? counted(unit.counts) : "");
  message.title = message.textContent;
  if (!BAD.has(unit.state)) message.classList.add("soft");
  return row;
}

const counted = (counts) => [...counts.keys()].sort((a, b) => rank(a) - rank(b))
  .map((state) => `${count(counts.get(state))} ${word(state).toLowerCase()}`).join(", ");

function fillTable() {
  const sorted = (units) => {
    if (L.sort < 0) return units;
    const by = COLUMNS[L.sort][2], way = L.down ? -1 : 1;
    return [...units].sort((a, b) => { const x = by(a), y = by(b); return x < y ? -way : x > y ? way : a.order - b.order; });
  };
  let rows = [];
  if (isFiltering()) rows = sorted(M.leaves.filter(fits));
  else {
    for (const unit of sorted(M.tasks.map((task) => task.unit))) {
      rows.push(unit);
      if (unit.kids && L.open.has(unit.task.number)) for (const kid of sorted(unit.kids)) rows.push(kid);
    }
  }
  L.longest = 1;
  for (const unit of rows) L.longest = Math.max(L.longest, took(unit));
  L.table.fill(rows);
  $("table").setAttribute("aria-rowcount", rows.length);
  $("tasks-note").textContent = isFiltering()
    ? `${count(rows.length)} of ${count(M.leaves.length)} fit the filter` : M.mapped
      ? `${count(M.tasks.length)}, of which mapped ones open to ${plural(M.units.length - M.tasks.length, "child").replace(/childs$/, "children")}` : count(rows.length);
  $("open-all").hidden = !M.mapped || isFiltering();
  $("open-all").textContent = L.open.size ? "Close all" : "Open all";
  mark();
}

function drawColumns() {
  $("columns").replaceChildren(...COLUMNS.map(([name, kind], n) => {
    const button = el("button", kind, name + (L.sort === n ? (L.down ? " ↓" : " ↑") : ""));
    button.type = "button";
    button.addEventListener("click", () => {
      if (L.sort !== n) { L.sort = n; L.down = n === 1 || n === 3; } else if (L.down === (n === 1 || n === 3)) L.down = !L.down;
      else L.sort = -1;
      drawColumns();
      fillTable();
    });
    return button;
  }));
}

function unfold(unit, open = !L.open.has(unit.task.number)) {
  if (open) L.open.add(unit.task.number); else L.open.delete(unit.task.number);
  const at = L.table.view.scrollTop;
  fillTable();
  L.table.view.scrollTop = at;
}

function logRow({ line, text, first }) {
  const row = el("div", `line ${line.level}`);
  row.append(el("span", "soft", first ? offset(line.at) : ""), el("span", "lv", first ? line.level : ""));
  const who = el("span", "soft");
  if (first && line.task) {
    const link = el("button", "link", line.task.label + (line.index === null ? "" : `[${line.index}]`));
    link.type = "button";
    link.tabIndex = -1;
    link.addEventListener("click", () => pick(unitOf(line)));
    who.append(link);
  } else if (first) who.textContent = line.logger;
  const said = el("span", "", text);
  said.title = text;
  row.append(who, said);
  return row;
}

const unitOf = (line) => {
  const { unit } = line.task;
  return (line.index !== null && unit.byIndex && unit.byIndex.get(line.index)) || unit;
};

const LEVELS = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50, stderr: 25, stdout: 20 };

function fillLog() {
  const least = LEVELS[$("level").value] || 0, rows = [];
  const wanted = F.states.size ? new Set(M.units.filter(fits)) : null;
  let found = 0;
  for (const line of M.lines) {
    if ((LEVELS[line.level] || 20) < least) continue;
    if (F.text && !line.words.includes(F.text)) continue;
    if (wanted && !(line.task && wanted.has(unitOf(line)))) continue;
    found += 1;
    line.message.split("\n").slice(0, 200).forEach((text, n) => rows.push({ line, text, first: n === 0 }));
  }
  L.log.fill(rows);
  $("logs-note").textContent = found === M.lines.length ? plural(found, "line") : `${count(found)} of ${plural(M.lines.length, "line")}`;
  $("lines").hidden = !rows.length;
}

function startLists() {
  L.table = new Rows($("table"), 28, taskRow);
  L.log = new Rows($("lines"), 20, logRow);
  drawColumns();
  $("table").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    if (event.target.closest("button.fold")) unfold(row.unit);
    else pick(row.unit);
  });
  $("table").addEventListener("keydown", (event) => {
    const { items } = L.table, at = items.indexOf(S.picked);
    const page = Math.max(1, Math.floor($("table").clientHeight / 28) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (by !== undefined && items.length) {
      const n = Math.min(Math.max(at < 0 ? 0 : at + by, 0), items.length - 1);
      pick(items[n], false);
    } else if (event.key === "Enter" && at >= 0) {
      if (items[at].kids) unfold(items[at]);
      else openDetail();
    } else if (event.key === "ArrowRight" && at >= 0 && items[at].kids) unfold(items[at], true);
    else if (event.key === "ArrowLeft" && at >= 0) {
      const parent = items[at].parent || items[at];
      if (parent.kids && L.open.has(parent.task.number)) { unfold(parent, false); pick(parent, false); }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  $("open-all").addEventListener("click", () => {
    if (L.open.size) L.open.clear();
    else for (const task of M.tasks) if (task.unit.kids) L.open.add(task.number);
    fillTable();
  });
  $("level").addEventListener("change", fillLog);
}
