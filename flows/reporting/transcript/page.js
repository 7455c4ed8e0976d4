"use strict";
const get = (id) => document.getElementById(id);
const steps = [...document.querySelectorAll("article")];
const texts = [];
const textOf = (index) => (texts[index] ??= steps[index].textContent.toLowerCase());
const HIGHLIGHTED_STEPS = 300;

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

function show() {
  const words = get("search").value.trim().toLowerCase();
  const isPressed = (id) => get(id).getAttribute("aria-pressed") === "true";
  const tools = isPressed("tools"), failures = isPressed("failures");
  const shown = steps.filter((step, index) => {
    const wanted = (!tools || step.classList.contains("calls")) && (!failures || step.classList.contains("failed"))
      && (!words || textOf(index).includes(words));
    step.hidden = !wanted;
    return wanted;
  });
  const count = (number) => number.toLocaleString("en");
  get("found").textContent = shown.length < steps.length ? `${count(shown.length)} of ${count(steps.length)} steps` : "";
  if (typeof Highlight === "function" && CSS.highlights) {
    const ranges = words ? shown.slice(0, HIGHLIGHTED_STEPS).flatMap((step) => rangesIn(step, words)) : [];
    CSS.highlights.set("found", new Highlight(...ranges));
  }
}

let waiting = 0;
get("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(show, 120);
});

function toggle(button) {
  button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
}

for (const id of ["tools", "failures"]) {
  get(id).addEventListener("click", (event) => {
    toggle(event.target);
    show();
  });
}

get("all").addEventListener("click", (event) => {
  toggle(event.target);
  const open = event.target.getAttribute("aria-pressed") === "true";
  for (const text of document.querySelectorAll("pre.long")) text.classList.toggle("open", open);
});

get("next").addEventListener("click", () => {
  const failed = steps.filter((step) => step.classList.contains("failed") && !step.hidden);
  const here = Number(location.hash.slice(2)) || 0;
  const next = failed.find((step) => Number(step.id.slice(1)) > here) ?? failed[0];
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
