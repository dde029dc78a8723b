// What is known of one task, beside the page.
function closeDetail() {
  S.group = null;
  S.detail = false;
  $("detail").hidden = true;
  document.body.classList.remove("open");
  mark();
  soon(drawTimeline);
}

function part(title, ...content) {
  const made = el("section");
  made.append(el("h3", "", title), ...content);
  return made;
}

const linkTo = (unit, text) => {
  const link = el("button", "link", text || unit.label);
  link.type = "button";
  link.addEventListener("click", () => pick(unit));
  return link;
};

const links = (units, most = 60, more = () => "") => {
  const made = el("div", "links");
  for (const unit of units.slice(0, most)) {
    const one = el("span");
    one.append(dot(unit.state), " ", linkTo(unit), el("span", "soft", more(unit)));
    made.append(one);
  }
  if (units.length > most) made.append(el("span", "soft", `and ${count(units.length - most)} more`));
  return made;
};

const table = (rows) => {
  const made = el("table");
  for (const [name, value] of rows) {
    if (value === "" || value === null || value === undefined) continue;
    const row = el("tr"), cell = el("td");
    if (value instanceof Node) cell.append(value); else cell.textContent = value;
    row.append(el("th", "", name), cell);
    made.append(row);
  }
  return made;
};

// All children at a glance: a square for each, in the colour of its state.
function squares(kids) {
  const canvas = el("canvas"), width = 392;
  const side = kids.length <= 400 ? 14 : kids.length <= 2500 ? 9 : kids.length <= 10000 ? 6 : 3, across = Math.floor(width / side);
  const down = Math.ceil(kids.length / across), sharp = Math.min(devicePixelRatio || 1, 3);
  canvas.width = width * sharp;
  canvas.height = down * side * sharp;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${down * side}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${plural(kids.length, "child")} as squares; the table has the same`);
  const css = getComputedStyle(document.documentElement), g = canvas.getContext("2d");
  const shades = new Map();
  g.scale(sharp, sharp);
  kids.forEach((kid, n) => {
    if (!shades.has(kid.state)) shades.set(kid.state, css.getPropertyValue(`--${KNOWN.includes(kid.state) ? kid.state : "Other"}`).trim());
    g.fillStyle = shades.get(kid.state);
    g.globalAlpha = isFiltering() && !fits(kid) ? 0.2 : 1;
    g.fillRect(n % across * side, Math.floor(n / across) * side, side - (side > 8 ? 2 : 1), side - (side > 8 ? 2 : 1));
    if (BAD.has(kid.state) && side > 3) { // hollow, for whom the colours are alike
      const rim = side > 8 ? 3 : 1, hole = side - (side > 8 ? 2 : 1) - 2 * rim;
      g.fillStyle = css.getPropertyValue("--card").trim();
      g.fillRect(n % across * side + rim, Math.floor(n / across) * side + rim, hole, hole);
    }
  });
  const at = (event) => {
    const box = canvas.getBoundingClientRect(), column = Math.floor((event.clientX - box.left) / side);
    return column < across ? kids[Math.floor((event.clientY - box.top) / side) * across + column] : undefined;
  };
  canvas.addEventListener("pointermove", (event) => { const kid = at(event); tip(kid && `${kid.label}: ${word(kid.state).toLowerCase()}\n${time(took(kid))}${kid.message ? `\n${kid.message.slice(0, 200)}` : ""}`, event); });
  canvas.addEventListener("pointerleave", () => tip(null));
  canvas.addEventListener("click", (event) => { const kid = at(event); if (kid) pick(kid); });
  return canvas;
}

function heading(title, state) {
  const top = el("div", "top"), close = el("button", "", "✕");
  close.type = "button";
  close.title = "Close (Esc)";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", closeDetail);
  top.append(el("h2", "", title), state ? colour(el("span", "badge", word(state)), state) : "", close);
  return top;
}

function openDetail() {
  const aside = $("detail"), at = aside.hidden ? 0 : aside.scrollTop;
  const same = aside.key === (S.group === null ? S.picked && S.picked.order : `g${S.group}`);
  aside.replaceChildren(...(S.group === null ? ofUnit(S.picked) : ofGroup(Graph.boxes[S.group])));
  aside.key = S.group === null ? S.picked.order : `g${S.group}`;
  S.detail = true;
  const was = aside.hidden;
  aside.hidden = false;
  document.body.classList.add("open");
  aside.scrollTop = same ? at : 0;
  if (was) soon(drawTimeline);
}

function ofGroup(box) {
  const units = box.tasks.map((task) => task.unit);
  const sorted = [...units].sort((a, b) => rank(a.state) - rank(b.state) || a.order - b.order);
  return [heading(plural(units.length, "task"), null), el("p", "soft", "Drawn as one, as they are alike or follow one after the other."), part("Tasks", links(sorted, 300))];
}

function ofUnit(unit) {
  const { task } = unit, made = [heading(unit.label, unit.state)];
  made.push(el("p", "soft mono", unit.index < 0 ? task.slug : `${task.slug}, child ${unit.index}`));
  if (unit.message) made.push(el("p", "msg", unit.message));
  const result = unit.result && `${bytes(unit.result[1])} as ${unit.result[2]}, sha256:${unit.result[0]}…`;
  made.push(part("About", table([
    ["Why", unit.why], ["Started", unit.start === null ? "" : `${offset(unit.start)} (${clock(unit.start)})`],
    ["Ended", unit.end === null || unit.tries.some((one) => one.open) ? "" : `${offset(unit.end)} (${clock(unit.end)})`],
    ["Took", unit.start === null ? "" : time(took(unit))], ["Busy", unit.kids && unit.spent ? time(unit.spent) : ""],
    ["Worker", unit.tries.length === 1 ? unit.worker : ""], ["Result", result],
    ["Kind", task.kind], ["Child of", unit.parent ? linkTo(unit.parent) : ""],
  ])));
  if (unit.kids && unit.kids.length) {
    const bad = unit.kids.filter((kid) => BAD.has(kid.state));
    const slow = [...unit.kids].sort((a, b) => took(b) - took(a)).slice(0, 5);
    const all = unit.kids.map(took).sort((a, b) => a - b), middle = all[Math.floor(all.length / 2)];
    made.push(part(`${plural(unit.kids.length, "child").replace(/childs$/, "children")}: ${counted(unit.counts)}`, squares(unit.kids)));
    if (bad.length) made.push(part("Failed", links(bad, 40)));
    made.push(part(`Durations: shortest ${time(all[0])}, median ${time(middle)}, longest ${time(all[all.length - 1])}`, links(slow, 5, (kid) => ` ${time(took(kid))}`)));
  }
  if (unit.traceback) {
    const pre = el("pre", "", unit.traceback), copy = el("button", "", "Copy");
    copy.type = "button";
    copy.addEventListener("click", () => { if (navigator.clipboard) navigator.clipboard.writeText(unit.traceback).then(() => { copy.textContent = "Copied"; }, () => {}); });
    const titled = part("Traceback", pre);
    if (navigator.clipboard) titled.append(copy);
    made.push(titled);
  }
  if (unit.tries.length > 1) {
    const rows = el("table"), head = el("thead"), names = el("tr");
    for (const name of ["Try", "Started", "Took", "Worker", "State"]) names.append(el("th", "", name));
    head.append(names);
    rows.append(head);
    unit.tries.forEach((one, n) => {
      const row = el("tr");
      for (const text of [n + 1, offset(one.start), time(one.end - one.start), one.worker]) row.append(el("td", "", text));
      const cell = el("td");
      cell.append(dot(one.state), ` ${word(one.state)}`, one.message && one.message !== unit.message ? el("div", "soft", one.message) : "");
      row.append(cell);
      rows.append(row);
    });
    made.push(part("Tries", rows));
  }
  const lines = M.lines.filter((line) => line.task === task && (unit.index < 0 || line.index === unit.index));
  if (lines.length) {
    const pre = el("pre", "", lines.slice(-200).map((line) => `${offset(line.at).padEnd(9)} ${line.level.padEnd(7)} ${line.message}`).join("\n"));
    made.push(part(lines.length > 200 ? `Logs, the last 200 of ${count(lines.length)}` : "Logs", pre));
  }
  if (task.up.length) made.push(part("Waits for", links([...new Set(task.up)].map((each) => each.unit))));
  if (task.down.length) made.push(part("Waited for by", links([...new Set(task.down)].map((each) => each.unit))));
  return made;
}
