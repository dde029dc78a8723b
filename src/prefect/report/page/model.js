// What is in the page's data, and what follows from it. Ticks are tenths of milliseconds since the start.
const $ = (id) => document.getElementById(id);
const el = (tag, kind, text) => {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
};
const KNOWN = ["Failed", "TimedOut", "ValidationFailed", "TriggerFailed", "Running", "Retrying", "Paused", "Looped", "Cancelled",
  "Success", "Cached", "Skipped", "Pending"]; // the order in which they are shown
const BAD = new Set(["Failed", "TimedOut", "ValidationFailed"]);
const WORDS = { Success: "Succeeded", TimedOut: "Timed out", TriggerFailed: "Not run", ValidationFailed: "Invalid" };
const MARKS = { Success: "✓", Cached: "=", Skipped: "↷", Failed: "✗", TimedOut: "✗", ValidationFailed: "✗", TriggerFailed: "⊘",
  Retrying: "↻", Looped: "↻", Paused: "‖", Running: "▸", Cancelled: "■", Pending: "·" }; // for whom colours are alike; as in the text
const word = (state) => WORDS[state] || state;
const rank = (state) => (KNOWN.indexOf(state) + 1) || 99;
const colour = (node, state) => {
  node.style.setProperty("--c", `var(--${KNOWN.includes(state) ? state : "Other"})`);
  return node;
};
const dot = (state) => {
  const made = colour(el("span", "dot"), state);
  made.title = word(state);
  made.dataset.state = state;
  made.dataset.mark = MARKS[state] || "";
  return made;
};

const time = (ticks) => {
  const s = ticks / 1e4;
  if (s < 0.00095) return s === 0 ? "0 s" : `${(s * 1e3).toFixed(1)} ms`; // as `prefect.printable.duration`
  if (s < 0.9995) return `${Math.round(s * 1e3)} ms`;
  if (s < 9.995) return `${s.toFixed(2)} s`;
  if (s < 59.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s), two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
};
const offset = (ticks) => {
  if (ticks === null) return "";
  const s = ticks / 1e4, two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (s < 60) return `+${time(ticks)}`;
  return s < 3600 ? `+${Math.floor(s / 60)}:${two(s % 60)}.${Math.floor(s * 10) % 10}` : `+${Math.floor(s / 3600)}:${two(s / 60 % 60)}:${two(s % 60)}`;
};
const count = (n) => n.toLocaleString("en");
const plural = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;
const bytes = (n) => {
  let unit = 0;
  while (n >= 1024 && unit < 4) { n /= 1024; unit += 1; }
  return unit ? `${n.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}` : plural(n, "byte");
};

let D = null; // the data as they came
let M = null; // what follows from them

function understand(data) {
  const text = (n) => data.texts[n];
  const tasks = data.tasks.map(([slug, label, kind, mapped, silent], number) =>
    ({ number, slug, label, kind, mapped, silent, up: [], down: [], unit: null }));
  for (let i = 0; i < data.edges.length; i += 2) {
    const up = tasks[data.edges[i]], down = tasks[data.edges[i + 1]];
    up.down.push(down);
    down.up.push(up);
  }
  const units = [], bars = [], over = data.ended !== null;
  for (const row of data.rows) {
    const [t, index, state, message, traceback, why, result, end] = row, task = tasks[t];
    const unit = { task, index, state: data.states[state], message: text(message), traceback: text(traceback),
      why: text(why), result: result || null, tries: [], kids: null, parent: null, start: null, end: end < 0 ? null : end,
      spent: 0, byIndex: null, worker: "", order: units.length, open: false, counts: null };
    for (let i = 8; i < row.length; i += 6) {
      const [start, took, s, worker, m, tb] = row.slice(i, i + 6);
      const open = took < 0, stop = open ? Math.max(data.now, start) : start + took;
      const one = { unit, start, end: stop, open, state: data.states[s], worker: data.workers[worker], message: text(m), traceback: text(tb) };
      if (open && over) one.state = "Cancelled";
      unit.tries.push(one);
      bars.push(one);
      unit.spent += stop - start;
      unit.worker = one.worker;
      if (open) unit.end = stop;
    }
    if (unit.tries.length) unit.start = unit.tries[0].start;
    if ((unit.state === "Running" || unit.state === "Paused") && over) {
      unit.state = "Cancelled";
      unit.message = unit.message || "cut off when the run ended";
    }
    unit.label = index < 0 ? task.label : `${task.label}[${index}]`;
    unit.words = `${task.slug} ${unit.label} ${unit.message} ${unit.worker} ${word(unit.state)} ${unit.why}`.toLowerCase();
    if (index < 0) {
      task.unit = unit;
      if (task.mapped) { unit.kids = []; unit.byIndex = new Map(); }
    } else {
      unit.parent = task.unit;
      unit.parent.kids.push(unit);
      unit.parent.byIndex.set(index, unit);
    }
    units.push(unit);
  }
  const counts = new Map(), leaves = [];
  const add = (state, n) => counts.set(state, (counts.get(state) || 0) + n);
  for (const unit of units) { // what only has a value counts where it failed
    if (!unit.kids && (!unit.task.silent || BAD.has(unit.state) || unit.state === "TriggerFailed")) {
      leaves.push(unit);
      add(unit.state, 1);
    }
  }
  for (const { unit } of tasks) {
    if (!unit.kids) continue;
    gather(unit);
    if (unit.missing) add("Pending", unit.missing);
  }
  let total = 0;
  for (const n of counts.values()) total += n;
  const lines = data.logs.map(([at, level, logger, message, t, index]) =>
    ({ at, level: data.levels[level], logger: data.loggers[logger], message: text(message), task: t < 0 ? null : tasks[t], index }));
  for (const line of lines) line.words = `${line.task ? line.task.slug : ""} ${line.logger} ${line.message}`.toLowerCase();
  return { tasks, units, leaves, bars, counts, total, lines, states: [...counts.keys()].sort((a, b) => rank(a) - rank(b)) };
}

function gather(unit) {
  unit.counts = new Map();
  for (const kid of unit.kids) {
    unit.counts.set(kid.state, (unit.counts.get(kid.state) || 0) + 1);
    if (kid.start !== null && (unit.start === null || kid.start < unit.start)) unit.start = kid.start;
    if (kid.end !== null && (unit.end === null || kid.end > unit.end)) unit.end = kid.end;
    unit.spent += kid.spent;
  }
  // Children that have not begun are not told of one by one: the task says how many there will be.
  unit.missing = Math.max(0, unit.task.mapped - 1 - unit.kids.length);
  if (unit.missing) unit.counts.set("Pending", (unit.counts.get("Pending") || 0) + unit.missing);
  const [worst] = [...unit.counts.keys()].sort((a, b) => rank(a) - rank(b));
  if (worst) unit.state = unit.missing && D.ended === null && rank(worst) > rank("Running") ? "Running" : worst;
  else if (unit.state === "Mapped") unit.state = "Success";
  unit.words += ` ${word(unit.state)}`.toLowerCase();
}

// What the filter leaves.
const F = { text: "", states: new Set() };
const isFiltering = () => F.text !== "" || F.states.size > 0;
const fits = (unit) => (!F.states.size || F.states.has(unit.state)) && (!F.text || unit.words.includes(F.text));

const shares = (counts, total, kind) => {
  const made = el("span", kind);
  made.setAttribute("aria-hidden", "true");
  for (const state of [...counts.keys()].sort((a, b) => rank(a) - rank(b))) {
    const part = colour(el("i"), state);
    part.style.flex = `${counts.get(state)} 0 0`;
    made.append(part);
  }
  return made;
};
