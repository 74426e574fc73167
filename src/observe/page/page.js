"use strict";
(() => {
const $ = id => document.getElementById(id);
const read = id => JSON.parse($(id).textContent);
const settings = read("settings");
const trails = read("trails");
const parts = new Map();
// Of a URL with a password in it, which browsers refuse to fetch.
const base = location.origin;
const POINTS = 120;

// ---- making elements -------------------------------------------------------
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
const set = (node, text) => { if (node._text !== text) { node._text = text; node.textContent = text; } };
const setClass = (node, text) => { if (node._class !== text) { node._class = text; node.className = text; } };

// ---- saying numbers --------------------------------------------------------
const plain = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = n => n < 100000 ? plain.format(n) : short.format(n);
function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return (unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[unit];
}
function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m " + (s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h " + Math.floor(s % 3600 / 60) + "m";
  return Math.floor(s / 86400) + "d " + Math.floor(s % 86400 / 3600) + "h";
}
const time = ms => ms < 1000 ? (ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)) + " ms" : ms < 60000 ? (ms / 1000).toFixed(1) + " s" : span(ms);
const now = () => (parts.get("head") || {}).now || Date.now();
const ago = ms => span(now() - ms);
const at = ms => {
  const then = new Date(ms);
  return then.toDateString() === new Date(now()).toDateString() ? then.toLocaleTimeString() : then.toLocaleString();
};

// ---- graphs ----------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
function graph() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "graph");
  svg.setAttribute("viewBox", "0 0 " + (POINTS - 1) + " 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const [w, e] = ["w", "e"].map(name => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    svg.append(path);
    return path;
  });
  svg._draw = points => {
    let most = 1;
    for (const point of points) most = Math.max(most, point[0], point[1]);
    // A short history is drawn wide: half a minute fills the graph.
    const shown = Math.max(points.length, 30);
    const x = i => ((POINTS - 1) * (shown - points.length + i) / (shown - 1)).toFixed(1);
    const y = n => (23 - 22 * n / most).toFixed(1);
    const work = points.map((point, i) => (i ? "L" : "M") + x(i) + " " + y(point[0])).join("");
    w.setAttribute("d", points.length ? work + "L" + (POINTS - 1) + " 24L" + x(0) + " 24Z" : "");
    e.setAttribute("d", points.map((point, i) => point[1] ? "M" + x(i) + " 24V" + y(point[1]) : "").join(""));
  };
  return svg;
}
const histories = new Map(Object.entries(trails));
function remember(key, point) {
  let points = histories.get(key);
  if (!points) histories.set(key, points = []);
  points.push(point);
  if (points.length > POINTS) points.splice(0, points.length - POINTS);
}

// ---- rows ------------------------------------------------------------------
// Cells in order: class, column, what it is called on a phone.
const CELLS = [
  ["check", "Last check"], ["c-weight n", "Weight"], ["c-graph", "Last 2 min"],
  ["c-rate n", "Rate", "/s"], ["c-sessions n", "Sessions", "now"], ["c-total n", "Total"],
  ["c-bytes n", "Out / in"], ["c-errors n", "Errors", "err"], ["c-retries n", "Retries"], ["c-time n", "Time"],
];
const rows = new Map();
const visible = new Set();
const watcher = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const row = entry.target._row;
    if (entry.isIntersecting) { visible.add(row); drawRow(row); } else visible.delete(row);
  }
}, { rootMargin: "200px" });

function columns(first, check, without) {
  const line = el("div", { class: "row columns", role: "row" },
    el("div", { role: "columnheader" }, first), el("div", { role: "columnheader" }, "State"));
  for (const [name, title] of CELLS)
    line.append(el("div", { class: name, role: "columnheader" }, name === "check" ? check : without.includes(title) ? "" : title));
  return line;
}
function makeRow(key, name, extra) {
  const node = el("div", { class: "row " + extra, role: "row" });
  const row = { key, node, extra, cells: {} };
  node._row = row;
  node.append(name);
  const cell = (cls, label, unit) => {
    const b = el("b", { "data-unit": unit }), s = el("span");
    const box = el("div", { class: "cell " + cls, role: "cell" }, b, s);
    node.append(box);
    return { box, b, s, cls: "cell " + cls };
  };
  row.cells.state = cell("state", "State");
  for (const [cls, label, unit] of CELLS) {
    const id = cls.split(" ")[0];
    if (id === "c-graph") {
      row.graph = graph();
      node.append(el("div", { class: "cell c-graph" }, row.graph));
    } else row.cells[id] = cell(cls, label, unit);
  }
  rows.set(key, row);
  watcher.observe(node);
  return row;
}
function put(row, id, main, sub, cls) {
  const cell = row.cells[id];
  set(cell.b, main);
  set(cell.s, sub || "");
  setClass(cell.box, cell.cls + (cls ? " " + cls : ""));
}
function title(node, text) { if (node.title !== text) node.title = text; }

function fillBusy(row, part) {
  put(row, "c-rate", count(part.rate[0]), "max " + count(part.rate[1]));
  put(row, "c-bytes", bytes(part.bytes[1]), bytes(part.bytes[0]));
}
const wrong = part => part.errors[0] + part.errors[1] + part.errors[2];
function fillWork(row, part) {
  fillBusy(row, part);
  const [now, most] = part.sessions, queue = part.queue;
  const waits = queue && queue[0];
  put(row, "c-sessions", count(now) + (part.limit ? " of " + count(part.limit) : ""), waits ? count(waits) + " wait" : "max " + count(most), waits || now >= part.limit ? "hot" : "");
  title(row.cells["c-sessions"].box, "Most at once " + count(most) + (queue ? "; in the queue " + count(queue[0]) + ", most " + count(queue[1]) + " of " + count(queue[2]) : "") + (part.max_ms[0] ? "; longest wait " + time(part.max_ms[0]) : ""));
  put(row, "c-total", count(part.sessions[2]), part.requests ? count(part.requests) + " req" : "");
  put(row, "c-errors", count(wrong(part)), part.error_rate ? count(part.error_rate) + "/s" : "", part.error_rate ? "hot" : "");
  put(row, "c-retries", count(part.retries[0]), part.retries[1] ? count(part.retries[1]) + " moved" : "");
  const [, connect, response, total] = part.average_ms;
  if (part.latency) put(row, "c-time", time(part.latency[0]), "99% " + time(part.latency[2]));
  else put(row, "c-time", time(response || total), "max " + time(part.max_ms[response ? 2 : 3]));
  title(row.cells["c-time"].box, "Average of the last requests: connect " + connect + " ms, answer " + response + " ms, whole " + total + " ms");
  title(row.cells["c-errors"].box, part.errors[0] + " connects, " + part.errors[1] + " broken answers, " + part.errors[2] + " 5xx; aborted by clients " + part.errors[3] + ", by servers " + part.errors[4]);
}
const fill = {
  f(row, part) {
    const cls = { OPEN: "up", PAUSED: "maint", STOP: "drain" }[part.status] || "no-check";
    setClass(row.node, "row " + row.extra + " " + cls);
    put(row, "state", part.status, "");
    const codes = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
    const answers = part.responses.map((n, i) => n ? codes[i] + " " + count(n) : "").filter(Boolean);
    put(row, "check", answers.slice(0, 2).join(" · "), answers.slice(2).concat(part.errors[1] ? ["denied " + count(part.errors[1])] : []).join(" · "), answers.length ? "says" : "");
    put(row, "c-weight", "", "");
    fillBusy(row, part);
    put(row, "c-sessions", count(part.sessions[0]), "of " + count(part.sessions[2]));
    put(row, "c-total", count(part.sessions[3]), part.requests ? count(part.requests) + " req" : "");
    const bad = part.errors[0] + part.errors[2] + part.responses[4];
    put(row, "c-errors", count(bad), part.error_rate ? count(part.error_rate) + "/s" : "", part.error_rate ? "hot" : "");
    title(row.cells["c-errors"].box, part.responses[4] + " answers 5xx, " + part.errors[0] + " bad requests, " + part.errors[2] + " internal");
    put(row, "c-retries", "", "");
    put(row, "c-time", "", "");
    return cls;
  },
  b(row, part) {
    const [active, backup, all, stopped] = part.servers;
    const cls = !part.up ? "down" : all === 0 ? "no-check" : stopped ? "going-down" : "up";
    setClass(row.node, "row " + row.extra + " " + cls);
    put(row, "state", part.up ? "UP" : "DOWN", "for " + ago(part.since));
    const usable = active + backup;
    put(row, "check", all === 0 ? "no servers" : usable + " of " + all + " usable", backup ? backup + " backup" : part.downs ? "went down " + part.downs + "×" : "", usable < all ? "says" : "");
    put(row, "c-weight", count(part.weight), "sum");
    fillWork(row, part);
    return cls;
  },
  s(row, part) {
    const chosen = row.box && row.box.checked ? " chosen" : "";
    setClass(row.node, "row " + row.extra + " " + part.class + (part.backup ? " backup" : "") + chosen);
    set(row.who.b, part.name);
    set(row.who.s, part.address === part.name ? "" : part.address);
    row.who.backup.hidden = !part.backup;
    row.who.set.hidden = !part.overrides;
    if (part.overrides) title(row.who.set, part.overrides.join("\n"));
    put(row, "state", part.status, "for " + ago(part.since));
    let last = "not checked", reason = part.reason || "";
    if (part.check) {
      const c = part.check;
      last = c.paused ? "check paused" : c.code === "INI" || c.code === "UNK" ? "not checked yet" : c.code + (c.status ? "/" + c.status : "") + " in " + c.ms + " ms";
      if (!reason && c.failures) reason = count(c.failures) + " failed so far";
    }
    put(row, "check", last, reason, part.reason ? "says" : "");
    title(row.cells.check.box, [part.check && part.check.about, part.check && part.check.info, reason].filter(Boolean).join(" · "));
    const [weight, written] = part.weight;
    put(row, "c-weight", String(weight), weight !== written ? "of " + written : "");
    fillWork(row, part);
    if (row.detail) fillDetail(row, part);
    row.text = (part.name + " " + part.address + " " + part.status + " " + row.place.name + " " + part.class).toLowerCase();
    return part.class;
  },
};
function drawRow(row) {
  const part = parts.get(row.key);
  if (!part) return;
  row.class = fill[row.key[0]](row, part);
  row.graph._draw(histories.get(row.key) || []);
  row.stale = false;
}

// ---- the layout of proxies -------------------------------------------------
const frontends = el("div", { class: "panel", role: "table", "aria-label": "Frontends" }, columns("Frontend", "Answers", ["Weight", "Retries", "Time"]));
const panels = new Map();
$("backends").append(el("div", { class: "legend" }, columns("Backend, server", "Last check, servers", [])));
function nameCell(name, sub) {
  return el("div", { class: "cell name", role: "rowheader" }, el("b", {}, name), el("span", {}, sub));
}
function makeServer(place, sid) {
  const key = "s:" + place.iid + ":" + sid;
  const b = el("b"), s = el("span");
  const backup = el("span", { class: "tag" }, "backup"), changed = el("span", { class: "tag" }, "set");
  const who = el("button", { class: "who", type: "button", "aria-expanded": "false", on: { click: () => toggleDetail(row) } }, b, s);
  const name = el("div", { class: "cell name", role: "rowheader" });
  let box = null;
  if (settings.admin) {
    box = el("input", { type: "checkbox", "aria-label": "Choose", on: { change: () => { drawRow(row); showSteer(); } } });
    name.append(box);
  }
  name.append(who, backup, changed);
  const row = makeRow(key, name, "server");
  Object.assign(row, { place, who: { b, s, backup, set: changed, button: who }, box, sid });
  return row;
}
function makePanel(place) {
  const fold = el("button", { class: "fold", type: "button", "aria-label": "Fold " + place.name });
  const name = nameCell(place.name, "");
  name.firstChild.prepend(fold);
  const row = makeRow("b:" + place.iid, name, "head");
  row.place = place;
  const servers = el("div", { class: "servers", role: "rowgroup" });
  const node = el("div", { class: "panel", role: "table", "aria-label": "Backend " + place.name },
    row.node, servers);
  fold.addEventListener("click", () => node.classList.toggle("folded"));
  return { node, row, servers, sids: [], place };
}
function layOut() {
  const places = parts.get("layout") || [];
  const wanted = new Set();
  for (const place of places) {
    if (place.frontend) {
      const key = "f:" + place.iid;
      wanted.add(key);
      let row = rows.get(key);
      if (!row) row = makeRow(key, nameCell(place.name, place.mode), "head");
      row.place = place;
      frontends.append(row.node);
    }
    if (place.backend) {
      let panel = panels.get(place.iid);
      if (!panel) panels.set(place.iid, panel = makePanel(place));
      panel.place = place;
      wanted.add("b:" + place.iid);
      set(panel.row.node.firstChild.lastChild, place.mode + " · " + backendWords(parts.get("b:" + place.iid) || {}));
      let before = null;
      for (const sid of place.servers) {
        const key = "s:" + place.iid + ":" + sid;
        wanted.add(key);
        let row = rows.get(key);
        if (!row) row = makeServer(place, sid);
        row.place = place;
        const behind = before ? before.nextSibling : panel.servers.firstChild;
        if (behind !== row.node) panel.servers.insertBefore(row.node, behind);
        before = row.detail || row.node;
        if (row.detail && row.node.nextSibling !== row.detail) panel.servers.insertBefore(row.detail, row.node.nextSibling);
      }
      $("backends").append(panel.node);
    }
  }
  for (const [key, row] of rows) if (!wanted.has(key)) {
    watcher.unobserve(row.node);
    visible.delete(row);
    row.node.remove();
    if (row.detail) row.detail.remove();
    rows.delete(key);
    histories.delete(key);
  }
  for (const [iid, panel] of panels) if (!wanted.has("b:" + iid)) { panel.node.remove(); panels.delete(iid); }
  $("frontends").replaceChildren(frontends);
}

// ---- all about one server --------------------------------------------------
function toggleDetail(row) {
  if (row.detail) { row.detail.remove(); row.detail = null; }
  else {
    row.facts = el("dl");
    row.words = el("p", { class: "words" });
    row.detail = el("div", { class: "detail" }, row.words, row.facts);
    if (settings.admin) row.detail.append(actions(() => [row]));
    row.node.after(row.detail);
    fillDetail(row, parts.get(row.key));
  }
  row.who.button.setAttribute("aria-expanded", String(!!row.detail));
}
function backendWords(part) {
  return (part.algorithm || "") + (part.cookie ? ", cookie " + part.cookie : "");
}
function fillDetail(row, part) {
  const c = part.check, codes = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
  const list = [
    ["State since", at(part.since)],
    ["Last check", c ? [c.about, c.info].filter(Boolean).join(", ") : "none configured"],
    c && ["Check health", c.health[0] + " (rise " + c.health[1] + ", fall " + c.health[2] + ")"],
    c && ["Failed checks, times down", count(c.failures) + ", " + count(c.downs)],
    ["Weight in force, in the file", part.weight.join(", ")],
    ["Sessions now, most, total", part.sessions.map(count).join(", ")],
    part.limit && ["Most at once (maxconn)", count(part.limit)],
    part.limit && ["Waited for a place: average, most", [part.average_ms[0], part.max_ms[0]].map(time).join(", ")],
    part.cookie && ["Cookie", part.cookie],
    ["Requests", count(part.requests)],
    ["Answers", codes.map((code, i) => part.responses[i] ? code + " " + count(part.responses[i]) : "").filter(Boolean).join(", ") || "none"],
    ["Bytes in, out", part.bytes.map(bytes).join(", ")],
    ["Failed connects, broken answers", part.errors.slice(0, 2).map(count).join(", ")],
    ["Aborts by clients, servers", part.errors.slice(3, 5).map(count).join(", ")],
    ["Retries, moved elsewhere", part.retries.map(count).join(", ")],
    ["Connect, answer, whole: average", part.average_ms.slice(1).map(time).join(", ")],
    ["Connect, answer, whole: most", part.max_ms.slice(1).map(time).join(", ")],
    part.latency && ["Last minute 50%, 90%, 99%", part.latency.map(time).join(", ")],
    ["Connections idle, made, reused", part.pool.map(count).join(", ")],
    ["Last used", part.used ? ago(part.used) + " ago" : "never"],
  ].filter(Boolean);
  while (row.facts.children.length > list.length) row.facts.lastChild.remove();
  list.forEach(([name, value], i) => {
    let line = row.facts.children[i];
    if (!line) row.facts.append(line = el("div", {}, el("dt"), el("dd")));
    set(line.firstChild, name);
    set(line.lastChild, value);
  });
  const words = [part.reason].concat((part.overrides || []).map(text => "Set at run time: " + text)).filter(Boolean).join(" · ");
  set(row.words, words);
  row.words.hidden = !words;
}

// ---- steering --------------------------------------------------------------
const ACTIONS = [
  ["ready", "Ready"], ["drain", "Drain"], ["maint", "Maintenance"], ["shutdown", "Shut down sessions"],
  ["hrunn", "Health up"], ["hnolb", "Health stopping"], ["hdown", "Health down"], ["ehlth", "Checks on"], ["dhlth", "Checks off"], ["clear", "As in the file"],
];
const chosen = () => [...rows.values()].filter(row => row.box && row.box.checked);
function actions(of) {
  const box = el("div", { class: "acts" });
  const rare = [];
  ACTIONS.forEach(([action, text], i) => {
    const button = el("button", { type: "button", "data-action": action, on: { click: () => act(of(), action, text) } }, text);
    if (i > 3) { button.hidden = true; rare.push(button); }
    box.append(button);
  });
  const input = el("input", { type: "text", inputmode: "numeric", placeholder: "0–256", "aria-label": "Weight, a number or a share such as 50%", size: "5" });
  const go = () => { if (/^\d+%?$/.test(input.value.trim())) act(of(), "weight", "Weight " + input.value.trim(), input.value.trim()); else input.focus(); };
  input.addEventListener("keydown", event => { if (event.key === "Enter") go(); });
  box.append(el("span", { class: "weigh" }, input, el("button", { type: "button", on: { click: go } }, "Set weight")));
  box.append(el("button", { type: "button", "aria-expanded": "false", on: { click: event => {
    for (const button of rare) button.hidden = !button.hidden;
    event.target.setAttribute("aria-expanded", String(!rare[0].hidden));
    set(event.target, rare[0].hidden ? "More" : "Less");
  } } }, "More"));
  return box;
}
const steerCount = el("b");
const steerActs = actions(chosen);
steerActs.className = "acts bar";
$("steer").append(steerCount, ...steerActs.childNodes, el("button", { type: "button", on: { click: clearChoice } }, "Clear choice"));
function showSteer() {
  const n = chosen().length;
  $("steer").hidden = n === 0;
  set(steerCount, n + (n === 1 ? " server" : " servers"));
}
function clearChoice() {
  for (const row of chosen()) { row.box.checked = false; drawRow(row); }
  showSteer();
}
// What would be left without a server, and what cuts.
function consequences(list, action, weight) {
  const stops = ["drain", "maint", "hdown", "hnolb"].includes(action) || (action === "weight" && /^0+%?$/.test(weight));
  const cuts = { shutdown: "Running sessions are ended.", maint: "No requests, and no checks, until it is ready again.", hdown: "It is taken for down until a check, or somebody, says otherwise." }[action];
  const emptied = [];
  if (stops) for (const panel of panels.values()) {
    const here = new Set(list.filter(row => row.place.iid === panel.place.iid));
    if (!here.size) continue;
    const left = panel.place.servers.some(sid => {
      const row = rows.get("s:" + panel.place.iid + ":" + sid), part = parts.get("s:" + panel.place.iid + ":" + sid);
      return part && !here.has(row) && part.weight[0] > 0 && ["up", "going-down", "no-check"].includes(part.class);
    });
    if (!left) emptied.push(panel.place.name);
  }
  return { cuts, emptied };
}
function ask(head, lines, yes) {
  const dialog = $("ask");
  set(dialog.querySelector("h2"), head);
  dialog.querySelector(".what").replaceChildren(...lines.map(([text, cls]) => el("p", { class: cls }, text)));
  set(dialog.querySelector("[value=yes]"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise(done => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}
async function act(list, action, text, weight) {
  if (!list.length) return;
  const names = list.map(row => row.place.name + "/" + parts.get(row.key).name);
  const { cuts, emptied } = consequences(list, action, weight);
  if (cuts || emptied.length) {
    const lines = [[names.slice(0, 6).join(", ") + (names.length > 6 ? " and " + (names.length - 6) + " more" : "")]];
    if (cuts) lines.push([cuts]);
    for (const name of emptied) lines.push(["No server of " + name + " is left to serve.", "warn"]);
    if (!await ask(text + "?", lines, text)) return;
  }
  const byBackend = new Map();
  for (const row of list) byBackend.set(row.place.iid, (byBackend.get(row.place.iid) || []).concat(row));
  const said = [];
  for (const [iid, group] of byBackend) {
    const body = new URLSearchParams([["b", "#" + iid], ["action", action], ["token", settings.token], ...group.map(row => ["s", parts.get(row.key).name])]);
    if (weight) body.set("weight", weight);
    try {
      const response = await fetch(base + settings.path, { method: "POST", body, headers: { accept: "application/json" }, credentials: "same-origin" });
      const { outcome, more } = await response.json();
      said.push([outcome, more]);
    } catch { said.push(["UNKN", "no answer"]); }
  }
  const failed = said.find(([outcome]) => outcome !== "DONE");
  outcome(failed ? failed[0] : "DONE", text + ": " + (failed ? failed[1] || "" : names.length === 1 ? names[0] : names.length + " servers"));
  if (!failed) clearChoice();
  if (!source) poll();
}
const OUTCOMES = {
  DONE: ["good", "Done."], NONE: ["", "Nothing was chosen."], PART: ["", "Only a part of it was done."], ERRP: ["bad", "Refused."],
  EXCD: ["bad", "Too many servers at once."], DENY: ["bad", "Denied: steering is off here, or the page is older than the process; load it again."], IVAL: ["bad", "Not a valid form."], UNKN: ["bad", "Something went wrong."],
};
function outcome(code, more) {
  const [cls, text] = OUTCOMES[code] || OUTCOMES.UNKN;
  note(cls, (more ? more.replace(/: $/, "") + ". " : "") + text, code === "DONE" ? 6000 : 0);
}
function note(cls, text, time) {
  const node = el("div", { class: "note " + cls, role: "status" }, text,
    el("button", { type: "button", "aria-label": "Dismiss", on: { click: () => node.remove() } }, "✕"));
  $("notes").append(node);
  while ($("notes").children.length > 5) $("notes").firstChild.remove();
  if (time) setTimeout(() => node.remove(), time);
}

// ---- search and filters ----------------------------------------------------
const FILTERS = [
  ["all", "All", () => true],
  ["trouble", "Trouble", cls => cls === "down" || cls === "going-down" || cls === "going-up"],
  ["down", "Down", cls => cls === "down" || cls === "going-up"],
  ["drain", "Drain", cls => cls === "drain" || cls === "nolb"],
  ["maint", "Maint", cls => cls === "maint"],
];
let filter = FILTERS[0];
const filterButtons = FILTERS.map(one => {
  const number = el("b");
  const button = el("button", { type: "button", "aria-pressed": "false", "data-filter": one[0], on: { click: () => choose(one) } }, one[1], number);
  button._number = number;
  $("filters").append(button);
  return button;
});
function choose(one) { filter = one; applyFilter(); keep(); }
function serverClass(key) { const part = parts.get(key); return part ? part.class : ""; }
function countFilters() {
  const numbers = FILTERS.map(() => 0);
  for (const [key, part] of parts) if (key[0] === "s") FILTERS.forEach(([, , test], i) => { if (test(part.class)) numbers[i]++; });
  filterButtons.forEach((button, i) => {
    set(button._number, count(numbers[i]));
    const bad = (i === 1 || i === 2) && numbers[i] > 0 ? "bad" : "";
    if (button.className !== bad) button.className = bad;
    button.setAttribute("aria-pressed", String(FILTERS[i] === filter));
  });
}
function matches(row, words) {
  const cls = serverClass(row.key);
  if (!filter[2](cls)) return false;
  if (settings.up && (cls === "down" || cls === "maint")) return false;
  if (settings.no_maint && cls === "maint") return false;
  return words.every(word => row.text.includes(word));
}
function applyFilter() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const scope = settings.scope.toLowerCase();
  const narrow = words.length > 0 || filter !== FILTERS[0];
  let shown = 0;
  for (const panel of panels.values()) {
    const inScope = panel.place.name.toLowerCase().includes(scope);
    let here = 0;
    for (const sid of panel.place.servers) {
      const row = rows.get("s:" + panel.place.iid + ":" + sid);
      if (!row) continue;
      if (row.text === undefined) drawRow(row);
      const hit = inScope && matches(row, words);
      row.node.hidden = !hit;
      if (row.detail) row.detail.hidden = !hit;
      if (hit) here++;
    }
    const itself = words.length > 0 && filter === FILTERS[0] && words.every(word => panel.place.name.toLowerCase().includes(word));
    panel.node.hidden = !inScope || (narrow && here === 0 && !itself);
    if (!panel.node.hidden) shown += here + 1;
  }
  for (const row of rows.values()) if (row.key[0] === "f") {
    const name = row.place.name.toLowerCase();
    row.node.hidden = !name.includes(scope) || (words.length > 0 && !words.every(word => name.includes(word)));
  }
  $("frontends").hidden = filter !== FILTERS[0] || ![...rows.values()].some(row => row.key[0] === "f" && !row.node.hidden);
  $("nothing").hidden = shown > 0 || !$("frontends").hidden;
  countFilters();
}
let pending = 0;
$("search").addEventListener("input", () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(() => { applyFilter(); keep(); }); });
$("reset").addEventListener("click", reset);
function reset() { $("search").value = ""; settings.scope = ""; settings.up = settings.no_maint = false; choose(FILTERS[0]); }
function keep() {
  const hash = new URLSearchParams();
  if ($("search").value) hash.set("q", $("search").value);
  if (filter !== FILTERS[0]) hash.set("show", filter[0]);
  const text = hash.toString();
  history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
}
function recall() {
  const hash = new URLSearchParams(location.hash.slice(1));
  $("search").value = hash.get("q") || "";
  filter = FILTERS.find(([name]) => name === hash.get("show")) || FILTERS[0];
}

// ---- process, tables, notes ------------------------------------------------
const tiles = {};
function tile(id, name) {
  const b = el("b"), s = el("span");
  const node = el("div", { class: "tile" }, el("span", {}, name), b, s);
  $("summary").append(node);
  return tiles[id] = { node, b, s };
}
tile("work", "Requests per second"); tile("errors", "Errors per second"); tile("sessions", "Connections"); tile("out", "Sent per second").node.id = "sent"; tile("servers", "Servers usable"); tile("generation", "Generation");
tiles.work.graph = graph();
tiles.work.node.append(tiles.work.graph);
function showHead() {
  const head = parts.get("head");
  let work = 0, errors = 0, up = 0, all = 0;
  for (const [key, part] of parts) {
    if (key[0] === "f") { work += part.rate[0]; errors += part.error_rate; }
    if (key[0] === "s") { all++; if (["up", "going-down", "no-check"].includes(part.class) && part.weight[0] > 0) up++; }
  }
  const say = (id, main, sub, cls) => { set(tiles[id].b, main); set(tiles[id].s, sub); setClass(tiles[id].node, "tile" + (cls ? " " + cls : "")); };
  say("work", count(work), count(head.requests) + " requests in " + span(head.now - head.started));
  say("errors", count(errors), "5xx to clients", errors ? "bad" : "");
  say("sessions", count(head.connections), "of " + count(head.maxconn) + ", " + count(head.connection_rate) + " new/s");
  say("out", bytes(head.bytes_out_rate), head.workers + (head.workers === 1 ? " worker, " : " workers, ") + head.idle_pct + "% idle");
  say("servers", up + " of " + all, up < all ? all - up + " not" : "all of them", up < all ? "bad" : "");
  say("generation", "#" + head.generation, ago(head.generation_at) + " in force");
  tiles.work.graph._draw(histories.get("all") || []);
  set($("node"), head.node);
  document.title = (up < all ? "(" + (all - up) + ") " : "") + head.node + " · rlb";
  return [work, errors];
}
// Two minutes of all frontends together, out of those of each.
{
  const sums = [];
  for (const [key, points] of histories) if (key[0] === "f")
    points.forEach((point, i) => { const at = POINTS - points.length + i; const sum = sums[at] || (sums[at] = [0, 0]); sum[0] += point[0]; sum[1] += point[1]; });
  histories.set("all", sums.filter(Boolean));
}
const tables = new Map();
function showTables() {
  for (const [key, table] of tables) if (!parts.has(key)) { table.remove(); tables.delete(key); }
  const keys = [...parts.keys()].filter(key => key[0] === "t").sort((a, b) => a.split(":")[1] - b.split(":")[1]);
  for (const key of keys) {
    const part = parts.get(key);
    let node = tables.get(key);
    if (!node) tables.set(key, node = el("section", { class: "panel" }));
    if (node._part !== part) {
      node._part = part;
      setClass(node, part.columns.length > 3 ? "panel wide" : "panel");
      const cell = text => /^@\d+$/.test(text) ? at(Number(text.slice(1))) : text;
      node.replaceChildren(el("h2", {}, part.title), el("div", { class: "scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, ...part.columns.map(name => el("th", { scope: "col" }, name)))),
        el("tbody", {}, ...part.rows.map(row => el("tr", {}, ...row.map((text, i) => el("td", { "data-name": part.columns[i] }, cell(text)))))))));
    }
    $("tables").append(node);
  }
}

// ---- what comes ------------------------------------------------------------
let source = null;
function take(message, whole) {
  const before = parts.get("head");
  if (whole) for (const key of [...parts.keys()]) if (!(key in message.parts)) parts.delete(key);
  for (const key of message.gone || []) parts.delete(key);
  const changed = Object.entries(message.parts);
  for (const [key, part] of changed) parts.set(key, part);
  const head = parts.get("head");
  // Another process has taken its place: other counters, another token.
  if (before && head.started !== before.started) return location.reload();
  if ("layout" in message.parts) layOut();
  for (const [key] of changed) { const row = rows.get(key); if (row) row.stale = true; }
  for (const [key, part] of parts) if (key[1] === ":" && key[0] !== "t") remember(key, [part.rate[0], part.error_rate]);
  if (head) remember("all", showHead());
  // The rest is drawn when it comes into sight.
  for (const row of visible) drawRow(row);
  let moved = false;
  for (const [key] of changed) {
    const row = rows.get(key);
    if (row && row.stale && key[0] === "s") { moved = moved || row.class !== serverClass(key); row.text = undefined; }
  }
  if ("layout" in message.parts || moved || filter !== FILTERS[0]) applyFilter(); else countFilters();
  if (changed.some(([key]) => key[0] === "t") || (message.gone || []).length) showTables();
}
function say(cls, text) { setClass($("live"), "live " + cls); set($("live"), text); }
async function poll() {
  try {
    const response = await fetch(base + settings.path + ";state", { credentials: "same-origin" });
    if (!response.ok) throw new Error(response.status);
    take(await response.json(), true);
    say("slow", "every " + (settings.refresh || 5) + " s");
  } catch { say("off", "no answer"); }
}
let timer = 0;
function fallBack() {
  if (timer) return;
  timer = setInterval(poll, (settings.refresh || 5) * 1000);
  poll();
  setTimeout(listen, 60000);
}
function listen() {
  const events = new EventSource(base + settings.path + ";events");
  events.addEventListener("open", () => { source = events; clearInterval(timer); timer = 0; say("on", "live"); });
  events.addEventListener("all", event => take(JSON.parse(event.data), true));
  events.addEventListener("change", event => take(JSON.parse(event.data), false));
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) { source = null; fallBack(); }
    else say("off", "reconnecting");
  });
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) for (const row of visible) drawRow(row); });

// ---- keys and theme --------------------------------------------------------
const shownServers = () => [...rows.values()].filter(row => row.key[0] === "s" && row.node.offsetParent)
  .sort((a, b) => a.node.compareDocumentPosition(b.node) & 4 ? -1 : 1);
function move(step) {
  const list = shownServers();
  if (!list.length) return;
  const here = list.findIndex(row => row.node.contains(document.activeElement));
  const next = list[Math.min(list.length - 1, Math.max(0, here + step))];
  next.who.button.focus();
  next.node.scrollIntoView({ block: "nearest" });
}
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
  if (event.key === "Escape") { if (typing) event.target.blur(); if ($("search").value) reset(); clearChoice(); return; }
  if (typing) return;
  const row = event.target.closest && event.target.closest(".server");
  if (event.key === "/") { event.preventDefault(); $("search").focus(); $("search").select(); }
  else if (event.key === "j" || event.key === "ArrowDown" && row) { event.preventDefault(); move(1); }
  else if (event.key === "k" || event.key === "ArrowUp" && row) { event.preventDefault(); move(-1); }
  else if (event.key === "x" && row && row._row.box) row._row.box.click();
  else if (event.key === "?") $("help").showModal();
});
$("keys").addEventListener("click", () => $("help").showModal());
const links = [[settings.path + ";csv", "CSV"], [settings.path + ";json", "JSON"]];
if (settings.metrics) links.push([settings.metrics, "Metrics"]);
$("help").querySelector(".links").append(...links.map(([href, text]) => el("a", { href }, text)));
const dark = matchMedia("(prefers-color-scheme: dark)");
const stored = () => { try { return localStorage.getItem("rlb-theme"); } catch { return null; } };
function theme(wish) {
  document.documentElement.dataset.theme = wish || (dark.matches ? "dark" : "light");
  set($("theme"), { light: "Light", dark: "Dark" }[wish] || "Auto");
}
$("theme").addEventListener("click", () => {
  const next = { null: "light", light: "dark", dark: null }[stored()];
  try { next ? localStorage.setItem("rlb-theme", next) : localStorage.removeItem("rlb-theme"); } catch { /* stays for this page */ }
  theme(next);
});
dark.addEventListener("change", () => theme(stored()));
theme(stored());

// ---- begin -----------------------------------------------------------------
for (const warning of settings.warnings) note("", "Others can reach this page, and " + warning + ".");
if (settings.outcome) outcome(settings.outcome, "");
recall();
const first = read("state");
for (const [key, part] of Object.entries(first.parts)) parts.set(key, part);
layOut();
for (const row of rows.values()) drawRow(row);
showHead();
showTables();
applyFilter();
listen();
})();
