// The timeline: a lane for each worker, or several where its tries overlap. Only what is seen is drawn.
const T = { lanes: [], from: 0, to: 1, whole: true, lane: 18, left: 120, top: 62, hover: null };

function layTimeline() {
  const workers = new Map();
  for (const bar of [...M.bars].sort((a, b) => a.start - b.start)) {
    if (!workers.has(bar.worker)) workers.set(bar.worker, []);
    const lanes = workers.get(bar.worker);
    let lane = lanes.find((each) => each[each.length - 1].end <= bar.start + 1);
    if (!lane) { lane = []; lanes.push(lane); if (lanes.length > 400) { lanes.pop(); lane = lanes[399]; } }
    lane.push(bar);
  }
  T.lanes = [];
  const names = [...workers.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const name of names) workers.get(name).forEach((bars, n) => T.lanes.push({ name: n ? "" : name || (bars.every((bar) => bar.open) ? "running now" : "unnamed"), bars, first: n === 0 }));
  T.workers = names.length;
  const many = T.lanes.length;
  T.lane = many <= 20 ? 20 : many <= 48 ? 13 : many <= 120 ? 8 : 6;
  T.end = Math.max(D.now, ...M.bars.slice(-1).map((bar) => bar.end), 1);
  for (const bar of M.bars) if (bar.end > T.end) T.end = bar.end;
  if (T.whole) { T.from = 0; T.to = T.end; }
  // How many ran at a time.
  const changes = [];
  for (const bar of M.bars) changes.push([bar.start, 1], [bar.end, -1]);
  changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let running = 0;
  T.most = 0;
  T.load = changes.map(([at, by]) => { running += by; T.most = Math.max(T.most, running); return [at, running]; });
  const height = Math.min(T.top + many * T.lane + 10, 440);
  $("timeline-view").style.height = `${height + 2}px`;
  $("timeline-space").style.height = `${T.top + many * T.lane + 10}px`;
  $("timeline-note").textContent = M.bars.length
    ? `${plural(T.workers, "worker")}, at most ${count(T.most)} at a time; drag to zoom` : "Nothing ran";
}

const steps = (span) => {
  const rough = span / 8, power = 10 ** Math.floor(Math.log10(rough));
  for (const n of [1, 2, 5, 10]) if (n * power >= rough) return n * power;
  return rough;
};
const axis = (ticks, step) => {
  if (step >= 6e5) return `${Math.round(ticks / 6e5)} min`;
  if (step >= 1e4) return `${Math.round(ticks / 1e4)} s`;
  return step >= 10 ? `${(ticks / 1e4).toFixed(Math.max(0, Math.ceil(-Math.log10(step / 1e4))))} s` : `${(ticks / 10).toFixed(1)} ms`;
};

function drawTimeline() {
  const view = $("timeline-view"), canvas = $("timeline-canvas");
  const width = view.clientWidth, height = Math.min(view.clientHeight, T.top + T.lanes.length * T.lane + 10);
  if (!width || !height) return;
  const sharp = Math.min(devicePixelRatio || 1, 3);
  canvas.width = width * sharp;
  canvas.height = height * sharp;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const css = getComputedStyle(document.documentElement), shade = (name) => css.getPropertyValue(`--${name}`).trim();
  const shades = new Map([...KNOWN, "Other"].map((state) => [state, shade(state)]));
  const g = canvas.getContext("2d");
  g.scale(sharp, sharp);
  const text = shade("text"), soft = shade("soft"), line = shade("line"), card = shade("card");
  const room = width - T.left - 14, x = (ticks) => T.left + (ticks - T.from) / (T.to - T.from) * room;
  const scroll = view.scrollTop, filtering = isFiltering();
  const chosen = S.picked !== null && S.picked.kids !== null;
  T.x = x;
  T.room = room;
  g.font = "11px system-ui,-apple-system,sans-serif";
  g.textBaseline = "middle";
  const step = steps(T.to - T.from);
  g.lineWidth = 1;
  for (let at = Math.ceil(T.from / step) * step; at <= T.to; at += step) {
    const px = Math.round(x(at)) + 0.5;
    g.strokeStyle = line;
    g.beginPath(); g.moveTo(px, 20); g.lineTo(px, height); g.stroke();
    g.fillStyle = soft;
    g.textAlign = px > width - 40 ? "right" : "center";
    g.fillText(axis(at, step), Math.min(px, width - 8), 11);
  }
  g.textAlign = "left";
  g.save();
  g.beginPath(); g.rect(0, T.top - 2, width, height); g.clip();
  for (let n = Math.max(0, Math.floor(scroll / T.lane) - 1); n < T.lanes.length; n += 1) {
    const lane = T.lanes[n], y = T.top + n * T.lane - scroll;
    if (y > height) break;
    if (lane.first && n && T.lane >= 8) { g.fillStyle = line; g.fillRect(0, y - 1, width, 1); }
    if (lane.first && T.lane >= 8) {
      g.fillStyle = soft;
      g.fillText(clip(g, lane.name, T.left - 26), 14, y + T.lane / 2);
    }
    const high = T.lane - (T.lane >= 12 ? 4 : T.lane >= 8 ? 2 : 1);
    let last = -1;
    for (const bar of lane.bars) {
      if (bar.end < T.from || bar.start > T.to) continue;
      const mine = bar.unit === S.picked, kin = S.picked !== null && bar.unit.parent === S.picked;
      let a = Math.max(x(bar.start), T.left - 2), b = Math.max(Math.min(x(bar.end), width), a + 1);
      if (b - last < 0.5 && b - a <= 1 && !mine) continue; // no more than a pixel of one
      last = b;
      if (mine && b - a < 4) { a -= 2; b = a + 5; }
      const dim = filtering && !fits(bar.unit);
      g.globalAlpha = dim ? 0.13 : chosen && !mine && !kin ? 0.3 : 1;
      g.fillStyle = shades.get(bar.state) || shades.get("Other");
      g.fillRect(a, y + 1, Math.max(b - a - (b - a > 4 ? 1 : 0), 1), high);
      if (BAD.has(bar.state)) { g.fillStyle = text; g.fillRect(a, y + high - 1, Math.max(b - a - (b - a > 4 ? 1 : 0), 1), 3); } // not by its colour alone
      if (high >= 14 && b - a > 34 && !dim) {
        g.fillStyle = bar.state === "Pending" ? text : shade("on");
        g.fillText(clip(g, bar.state === "Success" ? bar.unit.label : `${MARKS[bar.state] || ""} ${bar.unit.label}`, b - a - 9), a + 4, y + 1 + high / 2);
      }
      g.globalAlpha = 1;
      if (mine) {
        g.strokeStyle = text; g.lineWidth = 1.5; g.strokeRect(a - 0.5, y + 0.5, b - a + 0.5, high + 1); g.lineWidth = 1;
      }
    }
  }
  g.restore();
  g.fillStyle = card;
  g.fillRect(0, 20, T.left - 2, T.top - 22);
  g.fillStyle = soft;
  g.fillText("running", 14, 40);
  g.fillStyle = shades.get("Running");
  g.globalAlpha = 0.3;
  const base = T.top - 6, tall = base - 24;
  g.beginPath();
  g.moveTo(T.left, base);
  let before = 0, drawn = T.left;
  for (const [at, running] of T.load) {
    const px = Math.min(Math.max(x(at), T.left), width - 14);
    if (px >= drawn) { g.lineTo(px, base - before / T.most * tall); g.lineTo(px, base - running / T.most * tall); drawn = px; }
    before = running;
  }
  g.lineTo(drawn, base);
  g.fill();
  g.globalAlpha = 1;
  g.fillStyle = line;
  g.fillRect(0, base, width, 1);
  if (T.drag && T.drag.moved) {
    g.fillStyle = shade("accent"); g.globalAlpha = 0.16;
    g.fillRect(Math.min(T.drag.a, T.drag.b), 20, Math.abs(T.drag.b - T.drag.a), height);
    g.globalAlpha = 1;
  }
}

function clip(g, text, room) {
  if (room < 8) return "";
  if (g.measureText(text).width <= room) return text;
  let n = Math.max(0, Math.floor(text.length * room / g.measureText(text).width) - 1);
  while (n > 0 && g.measureText(`${text.slice(0, n)}…`).width > room) n -= 1;
  return n > 0 ? `${text.slice(0, n)}…` : "";
}

function barAt(event) {
  const view = $("timeline-view"), box = view.getBoundingClientRect();
  const px = event.clientX - box.left, py = event.clientY - box.top;
  if (py < T.top || px < T.left || !T.x) return null;
  const lane = T.lanes[Math.floor((py - T.top + view.scrollTop) / T.lane)];
  let best = null, least = 4;
  for (const bar of lane ? lane.bars : []) {
    const a = T.x(bar.start), b = Math.max(T.x(bar.end), a + 1), far = px < a ? a - px : px > b ? px - b : 0;
    if (far < least) { best = bar; least = far; if (!far) break; }
  }
  return best;
}

function zoomTimeline(from, to) {
  const span = Math.max(to - from, 20);
  T.from = Math.max(0, from);
  T.to = Math.min(T.end, T.from + span);
  T.whole = T.from <= 0 && T.to >= T.end;
  if (T.whole) { T.from = 0; T.to = T.end; }
  $("timeline-all").hidden = T.whole;
  soon(drawTimeline);
}

function startTimeline() {
  const view = $("timeline-view");
  const ticks = (px) => T.from + (px - T.left) / T.room * (T.to - T.from);
  view.addEventListener("scroll", () => soon(drawTimeline));
  view.addEventListener("pointermove", (event) => {
    if (T.drag) return;
    const bar = barAt(event), { unit } = bar || {};
    view.style.cursor = bar ? "pointer" : "crosshair";
    const nth = bar && unit.tries.length > 1 ? `, try ${unit.tries.indexOf(bar) + 1} of ${unit.tries.length}` : "";
    tip(bar && `${unit.label}: ${word(bar.state).toLowerCase()}${nth}\n${time(bar.end - bar.start)} from ${offset(bar.start)}${bar.worker ? ` on ${bar.worker}` : ""}${bar.message ? `\n${bar.message.slice(0, 300)}` : ""}`, event);
  });
  view.addEventListener("pointerleave", () => tip(null));
  view.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const left = view.getBoundingClientRect().left;
    T.drag = { a: event.clientX - left, b: event.clientX - left, moved: false };
    const move = (e) => {
      T.drag.b = Math.max(T.left, e.clientX - left);
      if (Math.abs(T.drag.b - T.drag.a) > 5) T.drag.moved = true;
      tip(null);
      soon(drawTimeline);
    };
    const stop = (e) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", stop);
      const { a, b, moved } = T.drag;
      T.drag = null;
      if (moved) zoomTimeline(ticks(Math.max(Math.min(a, b), T.left)), ticks(Math.max(a, b)));
      else { const bar = barAt(e); if (bar) pick(bar.unit); }
      soon(drawTimeline);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop);
  });
  view.addEventListener("dblclick", () => zoomTimeline(0, T.end));
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = ticks(event.clientX - view.getBoundingClientRect().left), by = event.deltaY < 0 ? 0.8 : 1.25;
    zoomTimeline(at - (at - T.from) * by, at + (T.to - at) * by);
  }, { passive: false });
  view.addEventListener("keydown", (event) => {
    const span = T.to - T.from, by = { ArrowLeft: -0.2, ArrowRight: 0.2 }[event.key];
    if (by) { const from = Math.min(Math.max(0, T.from + by * span), T.end - span); zoomTimeline(from, from + span); }
    else if (event.key === "+" || event.key === "=") zoomTimeline(T.from + span * 0.15, T.to - span * 0.15);
    else if (event.key === "-") zoomTimeline(T.from - span * 0.2, T.to + span * 0.2);
    else if (event.key === "0") zoomTimeline(0, T.end);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  $("timeline-all").addEventListener("click", () => zoomTimeline(0, T.end));
}
