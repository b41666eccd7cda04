// Tables that their headers sort: numbers by value, text in natural order. A second click reverses the order.
function sortBy(header) {
  const column = [...header.parentNode.children].indexOf(header), body = header.closest("table").tBodies[0];
  const down = header.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
  const numeric = "numeric" in header.dataset;
  const key = (row) => {
    const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
    return numeric ? (text === "" ? NaN : Number(text)) : text;
  };
  const compare = (a, b) => {
    if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // unknown values stay at the bottom
    return sign * (a - b);
  };
  body.append(...[...body.rows].map((row) => [key(row), row]).sort(([a], [b]) => compare(a, b)).map(([, row]) => row));
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
}

document.querySelectorAll("table.sortable th button").forEach((button) => {
  button.addEventListener("click", () => sortBy(button.closest("th")));
});

document.querySelectorAll("button.copy").forEach((button) => {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.of).textContent.trim());
    button.textContent = "copied";
  });
});
