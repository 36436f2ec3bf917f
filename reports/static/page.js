"use strict";
{
  const each = (selector, act, within = document) => within.querySelectorAll(selector).forEach(act);
  const make = (name, properties) => Object.assign(document.createElement(name), properties);

  // Tables: sorted by a column's figures, or by its text; saved with full digits.
  const key = (row, i) => {
    const cell = row.cells[i];
    if (!cell) return "";
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b, undefined, {numeric: true});
  each("table", table => {
    each("thead th", (heading, i) => {
      const button = make("button", {type: "button", textContent: heading.textContent});
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        each("thead th", other => other.removeAttribute("aria-sort"), table);
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort((a, b) => compare(key(a, i), key(b, i)) * (up ? 1 : -1)));
      });
    }, table);
    const save = make("button", {type: "button", className: "save", textContent: "Save as CSV"});
    save.setAttribute("aria-label", `Save as CSV: ${table.dataset.name}`);
    save.addEventListener("click", () => {
      const quoted = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      const said = cell => cell.dataset.value ?? [...cell.childNodes].map(node => node.textContent.trim()).join(" ").trim();
      const wide = [...table.tHead.rows[0].cells].map((_, i) =>
        [...table.tBodies[0].rows].some(row => row.cells[i]?.dataset.low !== undefined));
      const line = (row, head) => [...row.cells].flatMap((cell, i) => {
        const name = head ? cell.textContent.trim() : said(cell);
        if (!wide[i]) return [name];
        return head ? [name, `${name} low`, `${name} high`] : [name, cell.dataset.low ?? "", cell.dataset.high ?? ""];
      }).map(quoted).join(",");
      const rows = [line(table.tHead.rows[0], true), ...[...table.tBodies[0].rows].map(row => line(row, false))];
      const url = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], {type: "text/csv"}));
      make("a", {href: url, download: `${table.dataset.name.replace(/[^\p{L}\p{N}.-]+/gu, "-")}.csv`}).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    });
    table.closest(".scroll").after(save);
  });

  // Charts: the nearest point speaks, to a pointer and to arrow keys.
  each("figure", figure => {
    const plot = figure.querySelector(".plot"), says = plot.querySelector(".says"), spoken = figure.querySelector(".spoken");
    const points = JSON.parse(figure.querySelector("script").textContent).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const dot = make("span", {className: "at", hidden: true});
    plot.append(dot);
    let now = -1;
    const area = () => {
      const style = getComputedStyle(plot), left = parseFloat(style.paddingLeft), top = parseFloat(style.paddingTop);
      return {
        left, top,
        width: plot.clientWidth - left - parseFloat(style.paddingRight),
        height: plot.clientHeight - top - parseFloat(style.paddingBottom),
      };
    };
    const show = (i, aloud) => {
      now = i;
      says.hidden = dot.hidden = i < 0;
      if (i < 0) return;
      const {left, top, width, height} = area(), [x, y, text] = points[i];
      says.textContent = text;
      if (aloud) spoken.textContent = text;
      const px = left + x * width, py = top + y * height;
      dot.style.cssText = `left:${px}px;top:${py}px`;
      says.style.left = `${Math.max(0, Math.min(px + 12, plot.clientWidth - says.offsetWidth))}px`;
      says.style.top = `${py - says.offsetHeight - 12 < 0 ? py + 14 : py - says.offsetHeight - 12}px`;
    };
    plot.addEventListener("pointermove", event => {
      const {left, top, width, height} = area(), box = plot.getBoundingClientRect();
      let best = -1, least = 60 * 60;
      points.forEach(([x, y], i) => {
        const far = (left + x * width - event.clientX + box.left) ** 2 + (top + y * height - event.clientY + box.top) ** 2;
        if (far < least) [best, least] = [i, far];
      });
      show(best, false);
    });
    plot.addEventListener("pointerleave", () => show(-1));
    plot.addEventListener("blur", () => show(-1));
    plot.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (event.key === "Escape") show(-1);
      if (!step || !points.length) return;
      event.preventDefault();
      show((now + step + points.length) % points.length, true);
    });
  });

  // Sentences: those that have what is chosen.
  each(".sentences", box => {
    const form = box.querySelector("form"), items = [...box.querySelectorAll(".list > li")];
    const apply = () => {
      const chosen = [...form.querySelectorAll("select")].filter(one => one.value);
      let shown = 0;
      for (const item of items) {
        item.hidden = !chosen.every(one => JSON.parse(item.dataset[one.dataset.filter]).includes(one.value));
        shown += !item.hidden;
      }
      form.querySelector("output").textContent = `${shown} of ${items.length} sentences`;
    };
    form.addEventListener("change", apply);
    form.addEventListener("submit", event => event.preventDefault());
    apply();
  });

  // On paper everything is open.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach(one => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach(one => { one.open = false; }));
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.querySelector(":scope > details");
    if (folded) folded.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
}
