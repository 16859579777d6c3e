// Tables: a header sorts, a button copies the raw values. Rows and figures come in the HTML; a cell
// with data-value holds a number behind its text, data-low and data-high its interval.
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const raw = (cell) => cell?.dataset.value ?? cell?.textContent.trim() ?? "";

  const compare = (a, b) => {
    const [x, y] = [raw(a), raw(b)];
    if (x === "–" || y === "–") return (x === "–") - (y === "–");
    const [m, n] = [x, y].map((text) => Number(text.replace(/(?<=\d),(?=\d{3})/g, "")));
    if (x !== "" && y !== "" && !Number.isNaN(m) && !Number.isNaN(n)) return m - n;
    return collator.compare(x, y);
  };

  const sort = (table, header, column) => {
    const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((a, b) => {
      const [x, y] = [a.cells[column], b.cells[column]];
      // What was not measured stays last, whichever way.
      if ((raw(x) === "–") !== (raw(y) === "–")) return compare(x, y);
      return direction * compare(x, y);
    });
    body.append(...rows);
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  };

  const values = (table) => {
    const headers = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells]);
    const ranged = headers.map((_, i) => rows.some((row) => row[i]?.dataset.low !== undefined));
    const spread = (i, parts) => (ranged[i] ? parts : parts.slice(0, 1));
    return [
      headers.flatMap((name, i) => spread(i, [name, `${name} low`, `${name} high`])),
      ...rows.map((row) =>
        row.flatMap((cell, i) =>
          spread(i, [raw(cell), cell.dataset.low ?? "", cell.dataset.high ?? ""]),
        ),
      ),
    ];
  };

  // A spreadsheet takes a cell that begins with = + - or @ for a formula; a name must not be one.
  const harmless = (value) =>
    /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
  const quoted = (value, separator) =>
    value.includes(separator) || /["\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const text = (table, separator) =>
    values(table)
      .map((row) => row.map((cell) => quoted(harmless(cell), separator)).join(separator))
      .join("\n") + "\n";

  const copy = async (content) => {
    try {
      await navigator.clipboard.writeText(content);
    } catch {
      // No clipboard for this page (a file: in some browsers): the old way.
      const area = workbench.element("textarea", { "aria-hidden": "true" });
      area.value = content;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };

  const prepare = (table) => {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      if (header.querySelector("button")) return;
      header.setAttribute("aria-sort", "none");
      const button = workbench.element("button", { type: "button", class: "sort" });
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(table, header, column));
    });
    const tools = table.closest("figure")?.querySelector(".tools");
    if (!tools || tools.childElementCount) return;
    for (const [name, separator] of [["CSV", ","], ["TSV", "\t"]]) {
      const button = workbench.element("button", { type: "button" }, `Copy ${name}`);
      const label = table.caption?.textContent.trim() ?? "the table";
      button.setAttribute("aria-label", `Copy ${name} of ${label}`);
      button.addEventListener("click", async () => {
        await copy(text(table, separator));
        workbench.say(`${label} copied as ${name}.`);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = `Copy ${name}`), 1500);
      });
      tools.append(button);
    }
  };

  document.querySelectorAll("table.sortable").forEach(prepare);
  workbench.tables = { prepare, text };
})();
