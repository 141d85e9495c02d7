// Ctrl+K opens a search over every page of the operators. What it finds comes as one types; the arrows
// go through it, Enter opens the first, Escape closes.

const dialog = document.getElementById("search-dialog");
const term = document.getElementById("search-term");
const found = document.getElementById("search-found");
let timer = 0;
let asking = new AbortController();
// What the list below is of.
let shown = "";

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open();
  }
});
for (const link of document.querySelectorAll("[data-search]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    open();
  });
}
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
term.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(look, 200);
});
term.form.addEventListener("submit", (event) => {
  const first = found.querySelector("a");
  // Only where it is of what stands there now; else the page of its own tells.
  if (!first || shown !== term.value.trim()) return;
  event.preventDefault();
  first.click();
});
dialog.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const places = [term, ...found.querySelectorAll("a")];
  const next = places.indexOf(document.activeElement) + step;
  places[Math.max(0, Math.min(next, places.length - 1))].focus();
});

function open() {
  if (!dialog.open) dialog.showModal();
  term.focus();
  term.select();
}

async function look() {
  asking.abort();
  asking = new AbortController();
  const wanted = term.value.trim();
  const address = `${term.form.action}?${new URLSearchParams({ s: wanted })}`;
  try {
    const answer = await fetch(address, { headers: { "X-Requested-With": "live" }, signal: asking.signal });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    found.replaceChildren(...fresh.body.childNodes);
    shown = wanted;
  } catch {
    // Overtaken by the next letter, or the network is away: Enter leads to the page.
  }
}
