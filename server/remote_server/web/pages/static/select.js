// Ticking rows of a table: all of them at once, and how many there are. Without it each is ticked by
// hand; the form is the same.
// @ts-check

const form = document.querySelector("form[data-select]");
const all = form?.querySelector("[data-select-all]");
const count = form?.querySelector("[data-select-count]");

/** @returns {HTMLInputElement[]} */
const boxes = () => [...(form?.querySelectorAll("tbody input[type=checkbox]") ?? [])].filter((box) => box instanceof HTMLInputElement);

function show() {
  const ticked = boxes().filter((box) => box.checked).length;
  if (count) count.textContent = `${ticked} ${ticked === 1 ? "agent" : "agents"} selected`;
  if (all instanceof HTMLInputElement) {
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && ticked < boxes().length;
  }
}

if (all instanceof HTMLInputElement) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    show();
  });
}
form?.addEventListener("change", (event) => {
  if (event.target !== all) show();
});
document.addEventListener("keydown", (event) => {
  const row = event.target instanceof Element && event.key === "x" ? event.target.closest("form[data-select] tbody tr") : null;
  row?.querySelector("input[type=checkbox]")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
});
show();
