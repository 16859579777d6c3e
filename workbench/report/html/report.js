// Draws every chart where it stands, redraws on another width, and keeps the bar's place.
(() => {
  const { charts, data, save } = workbench;
  const PAPER = 680; // Pixels of a chart across a page of A4 or Letter.
  const states = [];
  let onPaper = false;

  const prepare = (article) => {
    const own = data.runs.find((run) => run.id === article.dataset.run);
    const names = own.run.variants.filter((v) => v.measurement).map((v) => v.name);
    const state = { hidden: new Set(), looks: charts.look(names, own.baseline) };
    const figures = [...article.querySelectorAll("figure.chart")];
    const draw = (figure) => {
      const plot = figure.querySelector(".plot");
      const legend = figure.querySelector(".legend");
      const width = onPaper ? PAPER : Math.max(280, Math.floor(plot.clientWidth));
      figure.dataset.width = width;
      const cell = Number(figure.querySelector("select")?.value ?? 0);
      if (figure.dataset.chart !== "stages") charts.legend(legend, state, names);
      charts[figure.dataset.chart]({
        data: own, plot, legend, cell, width, state, label: figure.dataset.label,
      });
    };
    state.redraw = () => {
      const focused = document.activeElement;
      const figure = focused?.closest("figure");
      figures.forEach(draw);
      const again = [...(figure?.querySelectorAll(".legend button") ?? [])];
      again.find((button) => button.dataset.variant === focused.dataset.variant)?.focus();
    };
    figures.forEach((figure) => {
      figure.querySelector("select")?.addEventListener("change", () => draw(figure));
      new ResizeObserver(() => {
        const width = Math.max(280, Math.floor(figure.querySelector(".plot").clientWidth));
        if (!onPaper && width > 280 && String(width) !== figure.dataset.width) draw(figure);
      }).observe(figure);
      draw(figure);
    });
    states.push(state);
    article.querySelectorAll("[data-download]").forEach((button) => {
      button.addEventListener("click", () =>
        save(`${own.run.name}.json`, "application/json", JSON.stringify(own.run, null, 1)),
      );
    });
  };
  document.querySelectorAll("article[data-run]").forEach(prepare);

  // Where the reader is, in the bar.
  const links = [...document.querySelectorAll(".bar nav a")];
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        const link = links.find((each) => each.hash === `#${target.id}`);
        if (!link) continue;
        if (isIntersecting) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  document.querySelectorAll("section[id], article[id]").forEach((part) => seen.observe(part));

  // On paper everything is open and charts are drawn to its width; afterwards all is as it was.
  const closed = new Set();
  const redraw = (paper) => {
    if (onPaper === paper) return;
    onPaper = paper;
    states.forEach((state) => state.redraw());
  };
  const open = () => {
    document.querySelectorAll("details:not([open])").forEach((each) => {
      closed.add(each);
      each.open = true;
    });
    redraw(true);
  };
  const close = () => {
    redraw(false);
    closed.forEach((each) => (each.open = false));
    closed.clear();
  };
  addEventListener("beforeprint", open);
  addEventListener("afterprint", close);
  matchMedia("print").addEventListener("change", ({ matches }) => (matches ? open() : close()));
})();
