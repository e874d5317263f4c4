// What a test looks for on a page, see browser_test.go.
(() => {
  const numbers = color => (color.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, under) => [0, 1, 2].map(i => top[i] * (top[3] ?? 1) + under[i] * (1 - (top[3] ?? 1)));
  const light = color => {
    const [r, g, b] = color.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(numbers(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const first = document.querySelector(".tiles") || document.querySelector("h1");
  const found = {
    Title: document.title,
    Overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    First: first.getBoundingClientRect().bottom, Faint: [], Texts: 0, Sorted: "", Figures: 0,
  };
  const closed = [...document.querySelectorAll("details:not([open])")];
  for (const details of closed) details.open = true;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || element.matches("script, style, title, desc") || !element.checkVisibility()) continue;
    found.Texts++;
    const style = getComputedStyle(element), under = behind(element);
    const color = over(numbers(element instanceof SVGElement ? style.fill : style.color), under);
    const [a, b] = [light(color), light(under)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.Faint.push(`${contrast.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  for (const chart of document.querySelectorAll("svg.chart")) {
    const box = chart.getBoundingClientRect();
    const out = [...chart.querySelectorAll("text")].some(text => {
      const { left, right, bottom } = text.getBoundingClientRect();
      return left < box.left - 2 || right > Math.min(box.right + 16, innerWidth) || bottom > box.bottom + 2;
    });
    if (out) found.Figures++;
  }
  for (const table of document.querySelectorAll("table")) {
    const at = [...table.tHead.rows[0].cells].findIndex(cell => cell.classList.contains("n") && cell.querySelector("button"));
    if (at < 0) continue;
    const head = table.tHead.rows[0].cells[at];
    const values = () => [...table.tBodies[0].rows].map(row => parseFloat(row.cells[at].textContent.replace(/[^0-9.]/g, "")) || 0);
    const before = values();
    for (const [order, up] of [["descending", -1], ["ascending", 1]]) {
      head.querySelector("button").click();
      const want = before.toSorted((a, b) => (a - b) * up);
      if (head.ariaSort !== order || String(values()) !== String(want)) found.Sorted = `${head.textContent} is ${values()} in ${head.ariaSort} order`;
    }
  }
  for (const details of closed) details.open = false; // as before the next look
  return found;
})()
