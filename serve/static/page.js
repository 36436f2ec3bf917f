// The page: what the visitor does, and what is shown for it. Whatever comes from a text or the server goes through
// textContent, never through HTML.

import { SAMPLES } from "./samples.js";
import * as server from "./server.js";
import { characters, colour, fitting, html, pieces, wellFormed, word } from "./spans.js";

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");

let limit = Infinity; // characters of one text, once the server has said
let served = null;
let shown = null; // {text, entities}: what the marked text and the list are of
let asking = null;
let chosen = null; // the entity that was picked from the list
const hidden = new Set(); // types that are switched off

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const tint = (target, type) => target.style.setProperty("--ink-of-type", colour(type));
const own = (text) => element("bdi", { textContent: text });

// ---- asking

async function find() {
  const text = wellFormed($("text").value);
  say(null);
  if (!text.trim()) {
    say(new server.Problem("There is no text yet", "Write or paste one, or pick a sample."));
    $("text").focus();
    return;
  }
  const excess = characters(text) - limit;
  if (excess > 0) {
    const detail = `This server takes ${number.format(limit)} characters at a time: shorten it by ${number.format(excess)}, or cut it in parts.`;
    say(new server.Problem("The text is too long", detail));
    return;
  }
  asking?.abort();
  const mine = (asking = new AbortController());
  $("found").setAttribute("aria-busy", "true");
  const start = performance.now();
  try {
    const answer = await server.entities(text, mine.signal);
    if (mine !== asking) return;
    show(text, answer, performance.now() - start);
  } catch (error) {
    if (mine !== asking) return;
    if (error.status === 401) askForToken();
    else say(error instanceof server.Problem ? error : new server.Problem("This page failed", String(error)), true);
  } finally {
    if (mine === asking) {
      asking = null;
      $("found").setAttribute("aria-busy", "false");
    }
  }
}

function say(problem, again = false) {
  const box = $("problem");
  box.hidden = !problem;
  box.replaceChildren();
  if (!problem) return;
  box.append(element("strong", { textContent: problem.title }), element("span", { textContent: problem.detail ?? "" }));
  if (again) {
    const button = element("button", { type: "button", textContent: "Try again" });
    button.addEventListener("click", find);
    box.append(element("div", {}, button));
  }
}

function askForToken() {
  if (server.hasToken()) say(new server.Problem("The server does not take this token", "Check it and enter it again."));
  $("token").hidden = false;
  $("token-value").select();
  $("token-value").focus();
}

// ---- showing

function show(text, answer, tookMs) {
  const entities = fitting(text, answer.entities);
  shown = { text, entities };
  chosen = null;
  hidden.clear();
  $("byhand").hidden = true;
  $("token").hidden = true;
  drawMarked();
  drawTypes();
  drawList();
  $("took").replaceChildren();
  if (Number.isFinite(answer.ms)) {
    $("took").append(element("b", { textContent: milliseconds(answer.ms) }), ` on the server · ${milliseconds(tookMs)} in all`);
  } else {
    $("took").append(element("b", { textContent: milliseconds(tookMs) }), " in all");
  }
  const lost = answer.entities.length - entities.length;
  if (lost) say(new server.Problem(`${lost} of the answer's names do not fit the text`, "They are left out. Please report this."));
  const none = entities.length === 0;
  $("nothing").hidden = $("legend").hidden = !none;
  $("nothing").textContent = "No names found. This model looks for:";
  $("none").hidden = !none;
  $("none").textContent = "None in this text.";
  $("total").textContent = number.format(entities.length);
  $("summary").textContent = none ? "No names found." : `${entities.length} found: ${summary(entities)}.`;
  $("copy-json").disabled = $("copy-html").disabled = false;
  state();
  const top = $("found").getBoundingClientRect().top;
  if (top > innerHeight * 0.7) $("found").scrollIntoView({ block: "start" }); // on a phone it would be below the screen
}

function drawMarked() {
  const { text, entities } = shown;
  const parts = pieces(text, entities).map(({ text: piece, over, ends }) => {
    if (over < 0) return document.createTextNode(piece);
    const mark = element("mark", { textContent: piece });
    tint(mark, entities[over].type);
    mark.dataset.entity = over;
    mark.dataset.kind = entities[over].type;
    if (ends.length) mark.dataset.type = ends.map((index) => entities[index].type).join("·");
    return mark;
  });
  $("marked").replaceChildren(...parts);
  $("marked").scrollTop = 0;
}

function counts(entities) {
  const found = new Map();
  for (const { type } of entities) found.set(type, (found.get(type) ?? 0) + 1);
  return found;
}

const summary = (entities) => [...counts(entities)].map(([type, count]) => `${count} ${word(type)}`).join(", ");

function drawTypes() {
  const buttons = [...counts(shown.entities)].map(([type, count]) => {
    const button = element("button", { type: "button" }, element("span", {}, own(word(type))), element("b", { textContent: number.format(count) }));
    button.setAttribute("aria-pressed", "true");
    tint(button, type);
    button.addEventListener("click", () => {
      if (!hidden.delete(type)) hidden.add(type);
      button.setAttribute("aria-pressed", String(!hidden.has(type)));
      for (const row of $("entities").children) row.hidden = hidden.has(row.dataset.kind);
      for (const mark of $("marked").querySelectorAll("mark")) mark.classList.toggle("off", hidden.has(mark.dataset.kind));
      point((chosen = null));
      rove($("entities").querySelector("li:not([hidden]) button"));
    });
    return button;
  });
  $("types").replaceChildren(...buttons);
}

function drawList() {
  const rows = shown.entities.map(({ start, end, type, text, score }, index) => {
    const bar = element("span", { className: "score" });
    bar.style.setProperty("--score", Math.min(1, Math.max(0, score)));
    const button = element("button", { type: "button", tabIndex: index ? -1 : 0 }, own(text), element("small", {}, `${type} ${score.toFixed(3)}`), bar);
    button.title = `${text}\n${type}, score ${score.toFixed(4)}, at ${start} to ${end}`;
    tint(button, type);
    button.dataset.entity = index;
    const row = element("li", {}, button);
    row.dataset.kind = type;
    return row;
  });
  $("entities").replaceChildren(...rows);
  $("entities").scrollTop = 0;
}

// One row of the list can be reached by Tab; arrows lead to the others.
function rove(button) {
  for (const other of $("entities").querySelectorAll('button[tabindex="0"]')) other.tabIndex = -1;
  if (button) button.tabIndex = 0;
}

// Point at an entity in both places.
function point(index) {
  for (const place of document.querySelectorAll(".now")) place.classList.remove("now");
  if (index === null) return [];
  const places = [...document.querySelectorAll(`[data-entity="${index}"]`)];
  for (const place of places) place.classList.add("now");
  return places;
}

// The text below the result is no longer the one it is of.
function state() {
  const text = wellFormed($("text").value);
  const stale = shown !== null && shown.text !== text;
  $("stale").hidden = !stale;
  document.documentElement.dataset.state = shown === null ? "empty" : stale ? "stale" : "done";
  const length = characters(text);
  const over = length > limit;
  $("count").classList.toggle("over", over);
  const most = Number.isFinite(limit) ? ` of ${number.format(limit)}` : "";
  $("count").textContent = `${number.format(length)}${most} characters${over ? `, ${number.format(length - limit)} too many` : ""}`;
  $("clear").disabled = $("text").value === "";
  for (const button of $("samples").children) {
    button.setAttribute("aria-pressed", String(SAMPLES[button.dataset.sample][1] === $("text").value));
  }
}

// ---- what answers here

const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : number.format(Math.round(ms))} ms`;
const megabytes = (bytes) => `${bytes < 1e7 ? (bytes / 1e6).toFixed(1) : number.format(Math.round(bytes / 1e6))} MB`;
const millions = (count) => (count >= 1e6 ? `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} M` : number.format(count));
const p50 = (ms) => `p50 ${milliseconds(ms)}`;
const known = (figure, words) => (figure == null ? undefined : words(figure));
const NOT_MEASURED = "not measured";
const percent = (share) => (share * 100).toFixed(1);

function legend(type) {
  const mark = element("mark", { textContent: word(type) });
  tint(mark, type);
  if (word(type) !== type) mark.dataset.type = type;
  return mark;
}

async function introduce() {
  try {
    served = await server.info();
  } catch (error) {
    $("served").classList.add("away");
    if (error.status === 401) {
      askForToken();
      $("served").replaceChildren(element("b", { textContent: "token needed" }));
    } else {
      $("served").replaceChildren(element("b", { textContent: "not reachable" }));
      if (error instanceof server.Problem) say(error);
    }
    return false;
  }
  const { model, variant, artifact, instructions, scores, measured, limits, workers, threads, notes = [] } = served;
  limit = limits?.text_characters ?? Infinity;
  $("served").classList.remove("away");
  $("served").replaceChildren(
    element("b", { textContent: variant }),
    [" ", model.name, known(measured?.p50_ms, p50), known(measured?.pss_bytes, megabytes)].filter(Boolean).join(" · "),
  );
  const facts = [
    ["Variant", variant],
    ["Model", model.name, `${model.architecture}, ${millions(model.parameters)} parameters`],
    ["Types", model.types.join(" ")],
    ["F1", scores ? percent(scores.f1) : "not scored", scores && `${percent(scores.f1_low)} to ${percent(scores.f1_high)}`],
    ...(scores ? [["Corpus", scores.corpus]] : []),
    ...(measured
      ? [
          ["Latency", known(measured.p50_ms, p50) ?? NOT_MEASURED, known(measured.p95_ms, (ms) => `p95 ${milliseconds(ms)}`)],
          ["Rate", known(measured.per_s, (rate) => `${number.format(Math.round(rate))} /s`) ?? NOT_MEASURED],
          ["Memory", known(measured.pss_bytes, megabytes) ?? NOT_MEASURED, measured.pss_bytes && "PSS"],
          ["On disk", megabytes(measured.size_bytes)],
        ]
      : [["Cost", NOT_MEASURED]]),
    ["Workers", `${workers} × ${threads} thread${threads === 1 ? "" : "s"}`],
    ["Instructions", instructions.here],
    ["Artifact", artifact],
  ];
  $("facts").replaceChildren(
    ...facts.flatMap(([name, value, more]) => [
      element("dt", { textContent: name }),
      element("dd", {}, value, ...(more ? [" ", element("small", { textContent: more })] : [])),
    ]),
  );
  $("legend").replaceChildren(...model.types.map(legend));
  const warnings = [...notes];
  if (instructions.built !== instructions.here && !notes.length) {
    warnings.unshift(`Built for ${instructions.built}: scores and times may differ on this machine.`);
  }
  $("notes").replaceChildren(...warnings.map((note) => element("li", { textContent: note })));
  state();
  return true;
}

// ---- taking it away

const visible = () => shown.entities.filter(({ type }) => !hidden.has(type));

function asJson() {
  const answer = { text: shown.text, offsets: "utf16", variant: served?.variant, artifact: served?.artifact, entities: visible() };
  return JSON.stringify(answer, null, 2);
}

async function copy(button, plain, rich) {
  const label = (button.dataset.label ??= button.textContent);
  if (await toClipboard(plain, rich)) {
    $("byhand").hidden = true;
    $("summary").textContent = "Copied.";
    button.textContent = "Copied ✓";
    setTimeout(() => (button.textContent = label), 1500);
  } else {
    $("byhand").hidden = false;
    $("byhand-text").value = plain;
    $("byhand-text").select();
  }
}

async function toClipboard(plain, rich) {
  if (fromEvent(plain, rich)) return true;
  try {
    await navigator.clipboard.writeText(plain);
    return true;
  } catch {
    return false;
  }
}

// The older way goes first: it needs no TLS, and takes HTML as it is.
function fromEvent(plain, rich) {
  let done = false;
  const fill = (event) => {
    event.preventDefault();
    event.clipboardData.setData("text/plain", plain);
    if (rich) event.clipboardData.setData("text/html", rich);
    done = true;
  };
  document.addEventListener("copy", fill, { once: true });
  const allowed = document.execCommand("copy");
  document.removeEventListener("copy", fill);
  return allowed && done;
}

// ---- what the visitor does

SAMPLES.forEach(([name, text], index) => {
  const button = element("button", { type: "button", textContent: name });
  button.dataset.sample = index;
  button.addEventListener("click", () => {
    $("text").value = text;
    state();
    find();
  });
  $("samples").append(button);
});

$("go").addEventListener("click", find);
$("text").addEventListener("input", state);
$("clear").addEventListener("click", () => {
  $("text").value = "";
  say(null);
  state();
  $("text").focus();
});
$("token").addEventListener("submit", async (event) => {
  event.preventDefault();
  server.useToken($("token-value").value.trim());
  say(null);
  if ((await introduce()) && $("text").value.trim()) find();
  else if (served) $("token").hidden = true;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
    event.preventDefault();
    find();
  }
});

$("copy-json").addEventListener("click", (event) => copy(event.currentTarget, asJson()));
$("copy-html").addEventListener("click", (event) => {
  const marked = html(shown.text, visible());
  copy(event.currentTarget, marked, marked);
});

$("entities").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  rove(button);
  const [mark] = point((chosen = button.dataset.entity)).filter((place) => place.tagName === "MARK");
  mark?.scrollIntoView({ block: "center", inline: "nearest" });
});
$("entities").addEventListener("keydown", (event) => {
  const rows = [...$("entities").querySelectorAll("li:not([hidden]) button")];
  const at = rows.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (at < 0 || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const next = rows[Math.min(rows.length - 1, Math.max(0, to))];
  rove(next);
  next.focus();
});
const under = (event) => event.target.closest("[data-entity]")?.dataset.entity;
for (const place of [$("entities"), $("marked")]) {
  place.addEventListener("pointerover", (event) => point(under(event) ?? chosen));
  place.addEventListener("pointerleave", () => point(chosen));
}
$("entities").addEventListener("focusin", (event) => point((chosen = under(event) ?? null)));

if (/Mac|iPhone|iPad/.test(navigator.platform)) $("keys").textContent = "⌘ ↵";
state();
introduce();
