"use strict";
// Shows the runs of #data: a table to choose from, and of one run its words, picture, path and plots.
const RUNS = JSON.parse(document.getElementById("data").textContent);
const HEADS = ["run", "bundle", "goal", "outcome", "cause", "verdict", "s", "m", "contacts", "model, ms", "motor p99, ms"];
const PLOT_PX = 130, SPAN_PX = 22, LEFT_PX = 60, RIGHT_PX = 12, LEAST_S = 0.05, ZOOM = 1.25;
const SHADES = ["#2f6fde", "#1b9e77", "#e07b1a", "#9b59b6", "#0e9aa7", "#b8860b", "#c8372d", "#7a8499"];
let run = null, all = [0, 1], view = [0, 1], now = 0, timer = 0, draws = [];

function element(parent, tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const figure = value => value === null ? "–" : Math.abs(value) >= 1000 ? value.toFixed(0) : String(+(Math.abs(value) < 1 ? value.toFixed(3) : value.toPrecision(3)));

function before(values, t, at = each => each) {  // number of the newest value up to t, or -1
  let low = 0, high = values.length;
  while (low < high) { const middle = (low + high) >> 1; if (at(values[middle]) <= t) low = middle + 1; else high = middle; }
  return low - 1;
}

function table() {
  const parent = document.getElementById("runs");
  if (RUNS.length < 2) return;
  const box = element(parent, "div", "", "scroll"), made = element(box, "table"), order = {column: -1, up: true};
  const head = element(element(made, "thead"), "tr"), body = element(made, "tbody");
  HEADS.forEach((name, column) => element(head, "th", name).onclick = () => {
    order.up = order.column === column ? !order.up : true;
    order.column = column;
    fill();
  });
  function fill() {
    body.textContent = "";
    const rows = RUNS.map((each, number) => [each.row, number]);
    if (order.column >= 0) rows.sort(([a], [b]) => compare(a[order.column], b[order.column]) * (order.up ? 1 : -1));
    for (const [row, number] of rows) {
      const line = element(body, "tr", "", RUNS[number] === run ? "chosen" : "");
      row.forEach((value, column) => element(line, "td", typeof value === "number" ? figure(value) : value ?? "",
        typeof value === "number" ? "number" : column === 3 ? value : ""));
      line.onclick = () => { show(RUNS[number]); fill(); };
    }
  }
  table.fill = fill;
}
function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" ? a - b : String(a).localeCompare(String(b));
}

function show(chosen) {
  run = chosen;
  stop();
  draws = [];
  const main = document.getElementById("run");
  main.textContent = "";
  if (RUNS.length > 1) element(main, "h2", run.name);
  run.words.forEach(words => element(main, "p", words));
  run.missing.forEach(words => element(main, "p", words, "missing"));
  range();
  if (run.frames.length || run.path.length) views(element(main, "div", "", "views"));
  bar(main);
  if (run.spans.length) plot(main, SPAN_PX * run.spans.length + 4, drawSpans);
  for (const each of run.plots) {
    const label = element(main, "p");
    element(label, "b", each.title + (each.unit ? ", " + each.unit : "") + "  ");
    const values = each.lines.map(line => { const part = element(label, "span"); part.style.color = line.colour; return part; });
    plot(main, PLOT_PX, (pen, width, height) => drawLines(pen, width, height, each, values));
  }
  stops(main);
  events(main);
  run.drawn.forEach(([title, data]) => { element(main, "h2", title); element(element(main, "div", "", "drawn"), "img").src = data; });
  element(main, "h2", "What drove");
  const facts = element(main, "dl");
  run.facts.forEach(([name, value]) => { element(facts, "dt", name); element(facts, "dd", value); });
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("from")) view = [+wanted.get("from"), +wanted.get("to")];
  now = wanted.has("at") ? +wanted.get("at") : (run.events.find(each => each.stop) ?? {t: all[1]}).t;
  draw();
}

function range() {
  const times = [0, ...run.events.map(each => each.t), ...run.frames.map(each => each.t)];
  for (const each of run.plots) for (const line of each.lines) times.push(line.x[0], line.x[line.x.length - 1]);
  all = [Math.max(Math.min(...times), -2), Math.max(...times) + 0.01];  // how long a model takes to load says nothing
  view = [...all];
}

function bar(main) {
  const made = element(main, "div", "", "bar");
  const play = element(made, "button", "play");
  play.onclick = () => timer ? stop() : start(play);
  const slide = element(made, "input");
  slide.type = "range"; slide.step = "any"; [slide.min, slide.max] = all;
  slide.oninput = () => { stop(); now = +slide.value; draw(); };
  const told = element(made, "span", "", "told");
  element(made, "button", "+").onclick = () => zoom(1 / ZOOM / ZOOM, now);
  element(made, "button", "−").onclick = () => zoom(ZOOM * ZOOM, now);
  element(made, "button", "all").onclick = () => { view = [...all]; draw(); };
  draws.push(() => { slide.value = now; told.textContent = now.toFixed(2) + " s, shown " + view[0].toFixed(1) + " to " + view[1].toFixed(1) + " s"; });
  element(main, "p", "The wheel zooms, dragging moves, a click chooses the moment, a double click shows all.", "soft");
}
function start(button) {
  if (now >= all[1]) now = all[0];
  let last = performance.now();
  button.textContent = "pause";
  timer = setInterval(() => {
    const passed = performance.now() - last;
    last += passed;
    now += passed / 1000;
    if (now >= all[1]) { now = all[1]; stop(); }
    draw();
  }, 50);
  start.button = button;
}
function stop() {
  clearInterval(timer);
  timer = 0;
  if (start.button) start.button.textContent = "play";
}

function zoom(factor, around) {
  const wide = clamp((view[1] - view[0]) * factor, LEAST_S, all[1] - all[0]);
  const share = clamp((around - view[0]) / (view[1] - view[0]), 0, 1);
  move(around - share * wide, wide);
}
function move(from, wide) {
  from = clamp(from, all[0], all[1] - wide);
  view = [from, from + wide];
  draw();
}

function canvas(parent, height, kind, paint) {
  const made = element(parent, "canvas", "", kind);
  if (height) made.style.height = height + "px";
  draws.push(() => {
    const scale = window.devicePixelRatio || 1, box = made.getBoundingClientRect();
    made.width = Math.round(box.width * scale);
    made.height = Math.round(box.height * scale);
    const pen = made.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    paint(pen, box.width, box.height);
  });
  return made;
}
const across = (t, width) => LEFT_PX + (t - view[0]) / (view[1] - view[0]) * (width - LEFT_PX - RIGHT_PX);
const moment = (made, event) => { const box = made.getBoundingClientRect();
  return view[0] + (event.clientX - box.left - LEFT_PX) / (box.width - LEFT_PX - RIGHT_PX) * (view[1] - view[0]); };

function plot(parent, height, paint) {
  const made = canvas(parent, height, "plot", paint);
  let held = null, moved = false;
  made.onwheel = event => { event.preventDefault(); zoom(event.deltaY > 0 ? ZOOM : 1 / ZOOM, moment(made, event)); };
  made.ondblclick = () => { view = [...all]; draw(); };
  made.onpointerdown = event => { held = moment(made, event); moved = false; made.setPointerCapture(event.pointerId); };
  made.onpointermove = event => {
    if (held === null) return;
    const by = held - moment(made, event);
    if (Math.abs(by) > 0.004 * (view[1] - view[0])) { moved = true; move(view[0] + by, view[1] - view[0]); }
  };
  made.onpointerup = event => { if (held !== null && !moved) { stop(); now = clamp(moment(made, event), ...all); draw(); } held = null; };
}
function frame(pen, width, height) {  // the playhead, and where something happened
  pen.save();
  pen.beginPath(); pen.rect(LEFT_PX, 0, width - LEFT_PX - RIGHT_PX, height); pen.clip();
  for (const each of run.events) if (each.loud || each.stop) line(pen, across(each.t, width), height, colour("--loud"), [3, 3]);
  line(pen, across(now, width), height, colour("--ink"), []);
  pen.restore();
}
function line(pen, x, height, shade, dashes) {
  pen.strokeStyle = shade; pen.lineWidth = 1; pen.setLineDash(dashes);
  pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, height); pen.stroke(); pen.setLineDash([]);
}
function drawSpans(pen, width, height) {
  const names = [...new Set(run.spans.flatMap(row => row.spans.map(each => each[2])))];
  run.spans.forEach((row, number) => {
    const top = number * SPAN_PX;
    pen.fillStyle = colour("--soft"); pen.textAlign = "right"; pen.fillText(row.name, LEFT_PX - 6, top + 15);
    pen.textAlign = "left";
    for (const [from, to, state] of row.spans) {
      const x = Math.max(across(from, width), LEFT_PX), end = Math.min(across(to, width), width - RIGHT_PX);
      if (end <= x) continue;
      pen.fillStyle = SHADES[names.indexOf(state) % SHADES.length]; pen.globalAlpha = 0.35;
      pen.fillRect(x, top + 1, Math.max(end - x - 1, 1), SPAN_PX - 3); pen.globalAlpha = 1;
      pen.fillStyle = colour("--ink");
      if (pen.measureText(state).width < end - x - 6) pen.fillText(state, x + 4, top + 15);
    }
  });
  frame(pen, width, height);
}
function drawLines(pen, width, height, each, values) {
  let low = 0, high = 0;
  const shown = each.lines.map(line => {
    const first = Math.max(before(line.x, view[0]), 0), last = Math.min(before(line.x, view[1]) + 2, line.x.length);
    for (let i = first; i < last; i++) if (line.y[i] !== null) { low = Math.min(low, line.y[i]); high = Math.max(high, line.y[i]); }
    return [first, last];
  });
  if (high === low) high = low + 1;
  const wide = (high - low) * 1.1, bottom = height - 18, y = value => bottom - (value - low) / wide * (bottom - 4);
  pen.textAlign = "right";
  for (const value of [low, (low + high) / 2, high]) {
    pen.fillStyle = colour("--line"); pen.fillRect(LEFT_PX, Math.round(y(value)), width - LEFT_PX - RIGHT_PX, 1);
    pen.fillStyle = colour("--soft"); pen.fillText(figure(value), LEFT_PX - 6, y(value) + 4);
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    pen.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    pen.fillText((view[0] + share * (view[1] - view[0])).toFixed(view[1] - view[0] < 4 ? 2 : 1) + " s",
      LEFT_PX + share * (width - LEFT_PX - RIGHT_PX), height - 4);
  }
  pen.save();
  pen.beginPath(); pen.rect(LEFT_PX, 0, width - LEFT_PX - RIGHT_PX, bottom + 2); pen.clip();
  each.lines.forEach((one, number) => {
    pen.strokeStyle = one.colour; pen.lineWidth = 1.5; pen.beginPath();
    let gap = true;
    for (let i = shown[number][0]; i < shown[number][1]; i++) {
      if (one.y[i] === null) { gap = true; continue; }
      pen[gap ? "moveTo" : "lineTo"](across(one.x[i], width), y(one.y[i]));
      gap = false;
    }
    pen.stroke();
    const at = before(one.x, now);
    values[number].textContent = (one.name + " " + (at < 0 ? "–" : figure(one.y[at]))).trim() + "   ";
  });
  pen.restore();
  frame(pen, width, bottom);
}

function views(parent) {
  if (run.frames.length) {
    const box = element(parent, "div"), picture = element(box, "div", "", "picture"), image = element(picture, "img");
    const said = element(box, "p"), sent = element(box, "p", "", "soft");
    let shown = -1;
    image.onload = () => draw();
    canvas(picture, 0, "", (pen, width, height) => {
      const number = Math.max(before(run.frames, now, each => each.t), 0), each = run.frames[number];
      if (number !== shown) { shown = number; image.src = "data:image/jpeg;base64," + each.jpeg; }
      said.textContent = each.t.toFixed(2) + " s  " + each.state + (each.said ? "  the model: " + each.said : "");
      sent.textContent = each.sent ? "sent " + each.sent[0] + " m/s ahead, " + each.sent[1] + " m/s to the left, " + each.sent[2] + " rad/s" + (each.reason ? "  " + each.reason : "") : "";
      if (each.box) drawBox(pen, width, height, each.box);
      if (each.sent) drawCommand(pen, width, height, each.sent);
    });
  }
  if (run.path.length) canvas(element(parent, "div"), 320, "", drawPath);
}
function drawBox(pen, width, height, [y0, x0, y1, x1, words]) {
  pen.strokeStyle = pen.fillStyle = "#16965a"; pen.lineWidth = 2.5;
  pen.strokeRect(x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height);
  const top = Math.max(y0 * height - 18, 0), wide = pen.measureText(words).width + 8;
  pen.fillRect(x0 * width, top, wide, 18);
  pen.fillStyle = "#fff"; pen.textAlign = "left"; pen.fillText(words, x0 * width + 4, top + 13);
}
function drawCommand(pen, width, height, [ahead, left, turn]) {  // up is ahead; the bow shows the turn
  const x = width - 46, y = height - 46, r = 34;
  pen.fillStyle = "rgba(10, 14, 22, 0.55)"; pen.beginPath(); pen.arc(x, y, r + 8, 0, 7); pen.fill();
  pen.strokeStyle = "#fff"; pen.lineWidth = 3; pen.beginPath(); pen.moveTo(x, y); pen.lineTo(x - left / 0.5 * r, y - ahead / 0.5 * r); pen.stroke();
  pen.strokeStyle = "#ffb454"; pen.beginPath(); pen.arc(x, y, r, -Math.PI / 2, -Math.PI / 2 - turn, turn > 0); pen.stroke();
}
function drawPath(pen, width, height) {
  const xs = run.path.map(each => each[1]), ys = run.path.map(each => each[2]);
  const wide = Math.max(Math.max(...xs) - Math.min(...xs), 1), high = Math.max(Math.max(...ys) - Math.min(...ys), 1);
  const scale = Math.min((width - 60) / wide, (height - 70) / high);
  const middle = [(Math.max(...xs) + Math.min(...xs)) / 2, (Math.max(...ys) + Math.min(...ys)) / 2];
  const at = each => [width / 2 + (each[1] - middle[0]) * scale, height / 2 - (each[2] - middle[1]) * scale];
  const here = Math.max(before(run.path, now, each => each[0]), 0);
  for (const [from, to, shade] of [[0, run.path.length, "--line"], [0, here + 1, "--good"]]) {
    pen.strokeStyle = colour(shade); pen.lineWidth = 3; pen.beginPath();
    run.path.slice(from, to).forEach((each, number) => pen[number ? "lineTo" : "moveTo"](...at(each)));
    pen.stroke();
  }
  for (const each of run.events.filter(each => each.stop)) {
    const [x, y] = at(run.path[Math.max(before(run.path, each.t, point => point[0]), 0)]);
    pen.strokeStyle = colour("--loud"); pen.lineWidth = 2; pen.beginPath(); pen.arc(x, y, 9, 0, 7); pen.stroke();
  }
  const [x, y] = at(run.path[here]), yaw = run.path[here][3];
  pen.fillStyle = colour("--ink"); pen.beginPath();
  for (const [r, turn] of [[12, 0], [9, 2.5], [9, -2.5]]) pen.lineTo(x + r * Math.cos(yaw + turn), y - r * Math.sin(yaw + turn));
  pen.fill();
  pen.fillStyle = colour("--soft"); pen.textAlign = "left";
  pen.fillRect(12, height - 24, scale, 2);
  pen.fillText("1 m   path from above, by odometry; red: where the base stopped", 12, height - 8);
}

function stops(main) {
  const found = run.frames.length ? run.events.filter(each => each.stop) : [];
  if (!found.length) return;
  element(main, "h2", found.length > 1 ? "The stops" : "The stop");
  const box = element(main, "div", "", "stops");
  for (const each of found) {
    const made = element(box, "figure"), frame = run.frames[Math.max(before(run.frames, each.t, one => one.t), 0)];
    element(made, "img").src = "data:image/jpeg;base64," + frame.jpeg;
    element(made, "figcaption", each.t.toFixed(2) + " s  " + each.what + (each.more ? " (" + each.more + ")" : ""), each.loud ? "loud" : "");
    made.onclick = () => { stop(); now = clamp(each.t, ...all); draw(); };
  }
}

function events(main) {
  element(main, "h2", "What happened when");
  const body = element(element(element(main, "div", "", "events"), "table"), "tbody");
  for (const each of run.events) {
    const row = element(body, "tr", "", each.loud ? "loud" : "");
    element(row, "td", each.t.toFixed(2) + " s", "number");
    element(row, "td", each.what);
    element(row, "td", each.more, "soft");
    row.onclick = () => { stop(); now = clamp(each.t, ...all); if (now < view[0] || now > view[1]) view = [...all]; draw(); };
  }
}

let due = false;
function draw() {  // at most once a frame of the screen
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; draws.forEach(paint => paint()); });
}
addEventListener("resize", draw);
table();
const named = new URLSearchParams(location.hash.slice(1)).get("run");
show(RUNS.find(each => each.name === named) ?? RUNS[0]);
if (table.fill) table.fill();
