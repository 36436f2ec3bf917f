// Entities over a text, as data: which pieces to draw, in which colour, and the same as HTML to take away.
// Offsets count UTF-16 units, as JavaScript's strings do. Nothing here touches the page.

const PANEL = [14, 15, 28];
const RED = "#ff5c7c";
const CYAN = "#2de2ff";
const YELLOW = "#ffe04a";
const OWN = new Map([
  ...["PER", "PERSON", "PERS", "NAME"].map((name) => [name, RED]),
  ...["LOC", "LOCATION", "PLACE"].map((name) => [name, CYAN]),
  ...["ORG", "ORGANIZATION", "ORGANISATION"].map((name) => [name, YELLOW]),
]);
const WORDS = new Map([
  [RED, "People"],
  [CYAN, "Places"],
  [YELLOW, "Organisations"],
]);
// Arcs of hues that are neither taken for red, nor for cyan, nor for yellow.
const ARCS = [
  [18, 40],
  [66, 172],
  [204, 336],
];
const LEAST_CONTRAST = 7.5;

// What a person calls a type: a word for the three common ones, otherwise its own name.
export function word(type) {
  return WORDS.get(OWN.get(type.toUpperCase())) ?? type;
}

// A type's colour: red, cyan, yellow for people, places, organisations; for others a hue that its name alone decides,
// light enough to be read on the dark panel.
export function colour(type) {
  const own = OWN.get(type.toUpperCase());
  if (own) return own;
  const hash = fnv(type);
  const span = ARCS.reduce((sum, [from, to]) => sum + to - from, 0);
  let hue = hash % span;
  for (const [from, to] of ARCS) {
    if (hue < to - from) {
      hue += from;
      break;
    }
    hue -= to - from;
  }
  const saturation = hash & 0x10000 ? 100 : 78; // two tones, for names whose hues come close
  let light = 60;
  while (contrast(rgb(hue, saturation, light), PANEL) < LEAST_CONTRAST) light += 1;
  return "#" + rgb(hue, saturation, light).map((value) => value.toString(16).padStart(2, "0")).join("");
}

// Those entities that fit the text they are said to be of, by start; anything else would mark the wrong place.
export function fitting(text, entities) {
  return entities
    .filter(
      ({ start, end, type, text: name }) =>
        Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= text.length &&
        typeof type === "string" && text.slice(start, end) === name && whole(text, start) && whole(text, end),
    )
    .sort((a, b) => a.start - b.start || b.end - a.end);
}

// The text cut at every boundary: pieces {text, over, ends} that give it again when joined. `over` is the index of the
// shortest entity over the piece (-1: none), `ends` are the indices of those that end with it.
export function pieces(text, entities) {
  const cuts = [...new Set([0, text.length, ...entities.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  const found = [];
  const open = new Set();
  let next = 0;
  for (let i = 0; i + 1 < cuts.length; i += 1) {
    const [start, end] = [cuts[i], cuts[i + 1]];
    while (next < entities.length && entities[next].start <= start) open.add(next++);
    let over = -1;
    const ends = [];
    for (const index of open) {
      const entity = entities[index];
      if (entity.end <= start) {
        open.delete(index);
        continue;
      }
      if (over < 0 || entity.end - entity.start < entities[over].end - entities[over].start) over = index;
      if (entity.end === end) ends.push(index);
    }
    found.push({ text: text.slice(start, end), over, ends });
  }
  return found;
}

// The marked text as HTML that stands by itself: styles inline, everything of the text escaped.
export function html(text, entities) {
  const body = pieces(text, entities).map(({ text: piece, over, ends }) => {
    if (over < 0) return escaped(piece);
    const types = ends.map((index) => entities[index].type).join("·");
    const ink = colour(entities[over].type);
    const label = types &&
      `<small style="margin-inline-start:.4em;font:600 .65em monospace;unicode-bidi:isolate">${escaped(types)}</small>`;
    return `<mark style="background:#171a2b;color:${ink};border-bottom:2px solid ${ink};border-radius:.3em;` +
      `padding:.1em .25em;unicode-bidi:isolate" title="${escaped(entities[over].type)}">${escaped(piece)}${label}</mark>`;
  });
  return `<div dir="auto" style="background:#0e0f1c;color:#e9ebfa;padding:1em;border-radius:.6em;` +
    `font:1rem/2 system-ui,sans-serif;white-space:pre-wrap;overflow-wrap:anywhere">${body.join("")}</div>`;
}

// A text in which half characters, which no encoding can carry, have become U+FFFD; its length stays.
export function wellFormed(text) {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

// Characters as the server counts them: code points.
export function characters(text) {
  return text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);
}

function escaped(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => names[character]);
}

function whole(text, at) {
  return !(/[\ud800-\udbff]/.test(text[at - 1] ?? "") && /[\udc00-\udfff]/.test(text[at] ?? ""));
}

function fnv(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0; // names that differ in one letter go far apart
  return (hash ^ (hash >>> 13)) >>> 0;
}

function rgb(hue, saturation, light) {
  const [s, l] = [saturation / 100, light / 100];
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  return [part(0), part(8), part(4)].map((value) => Math.round(value * 255));
}

// WCAG 2's contrast ratio of two colours.
function contrast(a, b) {
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}
