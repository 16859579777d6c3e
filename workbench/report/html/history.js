// The trends: a line for each variant, with its intervals; a ring where it changed.
(() => {
  const symbols = ["circle", "square", "triangle", "diamond", "star", "wye", "cross"];

  // The lines fill the frame; of the intervals only as much is shown as leaves them readable.
  const bounds = (points) => {
    const values = points.map((point) => point.value);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const room = 0.6 * Math.max(most - least, 0.05 * Math.max(Math.abs(least), Math.abs(most)));
    const low = Math.max(Math.min(...points.map((point) => point.low)), least - room);
    const high = Math.min(Math.max(...points.map((point) => point.high)), most + room);
    const pad = 0.06 * (high - low || Math.abs(high) || 1);
    return [low - pad, high + pad];
  };

  const draw = (figure) => {
    const trend = workbench.data.trends[Number(figure.dataset.trend)];
    const points = trend.series.flatMap((series) =>
      series.points.map((point) => ({
        ...point, name: workbench.visible(series.name), when: new Date(point.time),
      })),
    );
    const names = trend.series.map((series) => workbench.visible(series.name));
    const box = figure.querySelector(".plot");
    const width = Math.max(280, box.clientWidth);
    const place = { x: "when", y: "value", clip: true };
    box.replaceChildren(
      Plot.plot({
        width,
        height: Math.max(220, Math.min(340, width * 0.5)),
        marginLeft: 60,
        ariaLabel: workbench.visible(trend.title),
        style: { background: "transparent", color: "var(--ink)", fontSize: "12px" },
        x: { type: "utc", label: "UTC", inset: 10 },
        y: { label: trend.unit || null, grid: true, domain: bounds(points) },
        color: { domain: names, range: trend.series.map((one) => `var(--c${one.index % 8})`) },
        symbol: { domain: names, range: trend.series.map((one) => symbols[one.index % symbols.length]),
          legend: true },
        marks: [
          Plot.ruleX(points, {
            x: "when", y1: "low", y2: "high", stroke: "name", strokeOpacity: 0.45, clip: true,
          }),
          Plot.lineY(points, { ...place, stroke: "name" }),
          Plot.dot(points, {
            ...place, fill: "name", stroke: "name", symbol: "name", r: 3.5,
            title: (point) => workbench.visible(`${point.name}\n${point.label}`),
          }),
          Plot.dot(points.filter((point) => point.flagged), {
            ...place, stroke: "var(--ink)", r: 8, strokeWidth: 1.5,
          }),
        ],
      }),
    );
  };

  // One picture with one name: its parts are no places to go to; the table below has every point.
  const name = (figure) => {
    for (const svg of figure.querySelectorAll(".plot svg[aria-label]")) {
      svg.setAttribute("role", "img");
      for (const part of svg.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
    }
  };

  const all = [...document.querySelectorAll("figure.trend")];
  const redraw = () =>
    all.forEach((figure) => {
      draw(figure);
      name(figure);
    });
  redraw();
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 100);
  });
})();
