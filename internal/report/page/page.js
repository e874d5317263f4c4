// Sorts tables by a click on a heading. Without it the page loses nothing.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = table.tHead.rows[0].cells;
  if (body.rows.length < 3 || !table.tHead.querySelector(".n")) continue;
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.ariaSort === "descending", number = head.classList.contains("n");
      const value = row => {
        const text = row.cells[head.cellIndex].textContent;
        return number ? parseFloat(text.replace(/[^0-9.]/g, "")) || 0 : text;
      };
      for (const other of heads) other.ariaSort = null;
      head.ariaSort = up ? "ascending" : "descending";
      const rows = [...body.rows].map(row => [value(row), row]);
      rows.sort(([a], [b]) => (number ? a - b : a.localeCompare(b)) * (up ? 1 : -1));
      body.append(...rows.map(([, row]) => row));
    });
  }
}
