/* The review page: filter, keys, and the link between a call in the list and its line in the file. */
"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const text = one("#text");
  const file = one("#file");
  const boxes = all("input[name=decision]");
  const help = one("#help");
  const sites = all(".site").map((row) => ({
    row,
    id: row.id,
    file: row.closest("tbody").dataset.file,
    decision: row.dataset.decision,
    words: (row.textContent + " " + one(".group", row.closest("tbody")).textContent).toLowerCase(),
    line: () => document.getElementById(row.dataset.anchor)?.closest("tr"),
  }));
  const files = all(".file");
  let current = -1; // the call that j and k are at
  let inFiles = false; // they move through the files, not through the list

  const visible = () => sites.filter((site) => !site.row.hidden);

  function filter() {
    const wanted = text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const decisions = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const filtered = decisions.size < boxes.length;
    const matching = new Map();
    for (const site of sites) {
      const shown =
        decisions.has(site.decision) &&
        (!file.value || site.file === file.value) &&
        wanted.every((word) => site.words.includes(word));
      site.row.hidden = !shown;
      for (const remark of all(`[data-site="${site.id}"]`)) remark.hidden = !shown;
      if (shown) matching.set(site.file, (matching.get(site.file) ?? 0) + 1);
    }
    for (const element of files) {
      const named = wanted.every((word) => element.dataset.path.toLowerCase().includes(word));
      const chosen = !file.value || file.value === element.id;
      element.hidden = !(chosen && (matching.has(element.id) || (named && !filtered)));
    }
    for (const body of all(".calls tbody")) body.hidden = !matching.has(body.dataset.file);
    for (const body of all(".classes tbody")) body.hidden = document.getElementById(body.dataset.file).hidden;
    const count = visible().length;
    one("#shown").textContent = count === sites.length ? "" : `${count} of ${sites.length} calls`;
    const nothing = one(".nothing");
    if (nothing) nothing.hidden = count > 0;
  }

  function clear() {
    text.value = "";
    file.value = "";
    for (const box of boxes) box.checked = true;
    filter();
  }

  function openAround(element) {
    for (let outer = element?.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true;
  }

  /* Shows the call with this number, in the list or in its file. */
  function show(number) {
    for (const old of all(".current")) old.classList.remove("current");
    current = number;
    const site = sites[number];
    if (!site) return;
    const line = site.line();
    const place = inFiles && line ? line : site.row;
    site.row.classList.add("current");
    line?.classList.add("current");
    openAround(place);
    const link = one("a", place === line ? document.getElementById(site.row.dataset.anchor) : site.row);
    link?.focus({ preventScroll: true });
    place.scrollIntoView({ block: "center" });
  }

  function step(by) {
    const shown = visible();
    if (!shown.length) return;
    const at = shown.indexOf(sites[current]);
    const next = at < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(shown.length - 1, Math.max(0, at + by));
    show(sites.indexOf(shown[next]));
  }

  function stepFile(by) {
    const shown = files.filter((element) => !element.hidden);
    const here = shown.indexOf(document.activeElement?.closest(".file"));
    const below = shown.findIndex((element) => element.getBoundingClientRect().bottom > 0);
    const target = shown[here < 0 ? (by > 0 ? below : below - 1) : here + by];
    if (!target) return;
    inFiles = true;
    target.scrollIntoView({ block: "start" });
    one("summary", target).focus({ preventScroll: true });
  }

  /* Which file a key is about: the one that has the focus, else that of the current call. */
  const fileHere = () =>
    document.activeElement?.closest(".file") ?? (sites[current] && document.getElementById(sites[current].file));

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    n: () => stepFile(1),
    p: () => stepFile(-1),
    o: () => { inFiles = true; show(Math.max(0, current)); },
    u: () => { inFiles = false; show(Math.max(0, current)); },
    x: () => { const here = fileHere(); if (here) here.open = !here.open; },
    c: clear,
    "/": () => { text.focus(); text.select(); },
    "?": () => help.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = event.target.matches("input[type=search], select");
    if (typing && event.key === "Escape") event.target.blur();
    if (typing || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const target = link && document.getElementById(link.hash.slice(1));
    if (!target) return;
    openAround(target);
    const row = link.closest(".site") ?? (target.matches(".site") ? target : null);
    if (row) {
      event.preventDefault();
      inFiles = !target.matches(".site");
      show(sites.findIndex((site) => site.row === row));
      history.replaceState(null, "", link.hash);
    }
  });

  function arrive() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    openAround(target);
    target.scrollIntoView({ block: target.matches(".file") ? "start" : "center" });
  }

  let closed = [];
  addEventListener("beforeprint", () => { closed = files.filter((element) => !element.open); for (const element of closed) element.open = true; });
  addEventListener("afterprint", () => { for (const element of closed) element.open = false; });
  addEventListener("hashchange", arrive);
  one("#filter").addEventListener("submit", (event) => event.preventDefault());
  for (const element of [text, file, ...boxes]) element.addEventListener("input", filter);
  for (const button of all(".clear")) button.addEventListener("click", clear);
  one("#help-button").addEventListener("click", () => help.showModal());
  filter();
  arrive();
})();
