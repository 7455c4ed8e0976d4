"use strict";
const get = (id) => document.getElementById(id);
const steps = [...document.querySelectorAll("article")];
const texts = [];
const lowercaseTextOf = (index) => (texts[index] ??= steps[index].textContent.toLowerCase());
const HIGHLIGHTED_STEPS_MAX = 300;

function rangesIn(step, words) {
  const ranges = [];
  const walker = document.createTreeWalker(step, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.toLowerCase();
    for (let at = text.indexOf(words); at >= 0 && ranges.length < 100; at = text.indexOf(words, at + words.length)) {
      const range = new Range();
      range.setStart(walker.currentNode, at);
      range.setEnd(walker.currentNode, at + words.length);
      ranges.push(range);
    }
  }
  return ranges;
}

function filterSteps() {
  const words = get("search").value.trim().toLowerCase();
  const isPressed = (id) => get(id).getAttribute("aria-pressed") === "true";
  const tools = isPressed("tools"), failures = isPressed("failures");
  const visible = steps.filter((step, index) => {
    const matches = (!tools || step.classList.contains("calls")) && (!failures || step.classList.contains("failed"))
      && (!words || lowercaseTextOf(index).includes(words));
    step.hidden = !matches;
    return matches;
  });
  const format = (number) => number.toLocaleString("en");
  get("matches").textContent = visible.length < steps.length ? `${format(visible.length)} of ${format(steps.length)} steps` : "";
  if (typeof Highlight === "function" && CSS.highlights) {
    const ranges = words ? visible.slice(0, HIGHLIGHTED_STEPS_MAX).flatMap((step) => rangesIn(step, words)) : [];
    CSS.highlights.set("match", new Highlight(...ranges));
  }
}

let searchTimer = 0;
get("search").addEventListener("input", () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(filterSteps, 120);
});

function toggle(button) {
  button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
}

for (const id of ["tools", "failures"]) {
  get(id).addEventListener("click", (event) => {
    toggle(event.target);
    filterSteps();
  });
}

get("all").addEventListener("click", (event) => {
  toggle(event.target);
  const open = event.target.getAttribute("aria-pressed") === "true";
  for (const text of document.querySelectorAll("pre.long")) text.classList.toggle("open", open);
});

get("next").addEventListener("click", () => {
  const failed = steps.filter((step) => step.classList.contains("failed") && !step.hidden);
  const current = Number(location.hash.slice(2)) || 0;
  const next = failed.find((step) => Number(step.id.slice(1)) > current) ?? failed[0];
  if (next) location.hash = next.id;
});

document.addEventListener("click", (event) => {
  if (event.target.className !== "more") return;
  event.target.previousElementSibling.classList.add("open");
  event.target.hidden = true;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== get("search")) {
    event.preventDefault();
    get("search").focus();
  }
});

get("bar").hidden = false;
for (const button of document.querySelectorAll(".more")) button.hidden = false;
