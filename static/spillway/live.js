// Keeps the parts of a page up to date that are marked `data-live`, for as long as one of them says
// when to look again (`data-again`, in milliseconds). Whoever reads can pause it.

const pause = document.getElementById("pause");
let timer = 0;
let paused = false;

if (pause) {
  pause.hidden = false;
  const words = [pause.textContent, pause.dataset.resume];
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = words[Number(paused)];
    schedule();
  });
}
document.addEventListener("visibilitychange", schedule);
schedule();

function schedule() {
  clearTimeout(timer);
  const again = document.querySelector("[data-live][data-again]")?.dataset.again;
  if (pause) pause.hidden = !again;
  if (again && !paused && !document.hidden) timer = setTimeout(look, Number(again));
}

async function look() {
  try {
    const answer = await fetch(location.href, { headers: { "X-Requested-With": "live" } });
    if (answer.ok && !answer.redirected) {
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch {
    // The network is away for a moment; the next look will tell.
  }
  schedule();
}

// Only what is new is replaced: nobody loses the focus, or hears the same twice.
function take(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (!now) continue;
    if (text(part) !== text(now)) replace(part, now);
    if (now.dataset.again) part.dataset.again = now.dataset.again;
    else delete part.dataset.again;
  }
  document.dispatchEvent(new Event("live"));
}

// Whoever is at a link or a button in it is at the same one afterwards.
function replace(part, now) {
  const held = part.contains(document.activeElement) ? document.activeElement : null;
  part.replaceChildren(...now.childNodes);
  if (!held) return;
  const same = [...part.querySelectorAll(held.tagName)].find((one) => named(one) === named(held));
  same?.focus({ preventScroll: true });
}

function named(one) {
  return one.id || one.getAttribute("href") || `${one.name}=${one.value}`;
}

// What says something: not a form's token, which differs each time, nor what is opened or copied here.
function text(part) {
  const copy = part.cloneNode(true);
  for (const one of copy.querySelectorAll("[name=csrfmiddlewaretoken], [data-copy]")) one.remove();
  for (const one of copy.querySelectorAll("details[open]")) one.removeAttribute("open");
  return copy.innerHTML;
}
