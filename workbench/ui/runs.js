// The list: filter, what may be compared, and what is under way.
(() => {
  const table = document.getElementById("runs");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const filter = document.getElementById("filter");
  const smokes = document.getElementById("smokes");
  const count = document.getElementById("count");

  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const said = row.textContent.toLowerCase();
      const smoke = row.dataset.smoke === "1";
      row.hidden = (smoke && smokes && !smokes.checked) || !words.every((word) => said.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };

  const chosen = () => {
    const button = document.getElementById("compare");
    const number = table.querySelectorAll("input[name=run]:checked").length;
    button.disabled = number < 2;
    button.textContent = number < 2 ? "Choose two to compare" : `Compare ${number} runs`;
  };

  if (table) {
    filter.addEventListener("input", show);
    filter.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault();
    });
    smokes?.addEventListener("change", show);
    table.addEventListener("change", chosen);
    show();
    chosen();
  }

  const place = document.getElementById("under-way");
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/under-way");
      if (!answer.ok) return;
      const found = await answer.json();
      const focus = place.contains(document.activeElement);
      if (place.innerHTML !== found.html && !focus) place.innerHTML = found.html;
      document.getElementById("changed").hidden = found.stamp === place.dataset.stamp;
    } catch {
      // The server is gone; the page keeps what it has.
    }
  };
  setInterval(look, 2000);
})();
