// Cost against requests a month: every option a line, those that are the cheapest somewhere in
// colour, with a dash of their own, so that no two are told apart by colour alone.
workbench.costChart = (place, legend, asked) => {
  const { element } = workbench;
  const { curve, volumes, at, chosen, number } = asked;
  const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 4", "12 3", "1 2", "6 2 1 2"];
  const winners = [...new Set(curve.map(({ best }) => best?.name).filter(Boolean))];
  const style = (name) => {
    const order = winners.indexOf(name);
    if (order >= 0) return { colour: `var(--c${order % 8})`, dash: DASHES[order % DASHES.length], width: 2.2 };
    if (name === chosen) return { colour: "var(--ink)", dash: "", width: 2.2 };
    return { colour: "var(--base)", dash: "", width: 1, opacity: 0.5 };
  };
  const points = curve.flatMap(({ choices }, step) =>
    choices.map((choice) => ({
      name: choice.name, requests: volumes[step], usd: number(choice.usd), where: choice.place,
      text: asked.money(choice.usd),
    })),
  ).filter(({ usd }) => usd > 0);
  const names = [...new Set(points.map(({ name }) => name))];
  // A band for each stretch with one winner: between two of them there is nothing to draw.
  let stretch = 0;
  const band = curve.flatMap(({ best }, step) => {
    if (best?.name !== curve[step - 1]?.best?.name) stretch += 1;
    if (!best) return [];
    return [{ stretch, requests: volumes[step], low: number(best.low), high: number(best.high) }];
  }).filter(({ low }) => low > 0);
  const powers = (values) => {
    const [least, most] = d3.extent(values);
    const found = d3.range(Math.floor(Math.log10(least)), Math.ceil(Math.log10(most)) + 1);
    return found.map((n) => 10 ** n).filter((v) => v >= least / 1.001 && v <= most * 1.001);
  };
  const order = [...names.filter((n) => !winners.includes(n)), ...winners];

  const lines = order.map((name) => {
    const { colour, dash, width, opacity } = style(name);
    return Plot.line(points.filter((p) => p.name === name), {
      x: "requests", y: "usd", stroke: colour, strokeDasharray: dash || undefined,
      strokeWidth: width, strokeOpacity: opacity ?? 1, curve: "linear",
    });
  });
  const here = points.filter((p) => p.requests === volumes[at] && (winners.includes(p.name) || p.name === chosen));
  const width = Math.max(280, place.clientWidth || 640);
  const chart = Plot.plot({
    width,
    height: Math.min(460, Math.max(300, width * 0.55)),
    marginLeft: 58,
    marginBottom: 40,
    style: { background: "transparent", fontSize: "12px" },
    x: { type: "log", label: "requests a month →", tickFormat: (v) => asked.short(v), ticks: powers(volumes), grid: false },
    y: { type: "log", label: "↑ USD a month", tickFormat: (v) => d3.format(v < 1 ? "~g" : ",")(v), grid: true, ticks: powers(points.map(({ usd }) => usd)) },
    marks: [
      Plot.areaY(band, { x: "requests", y1: "low", y2: "high", z: "stretch", fill: "var(--muted)", fillOpacity: 0.16 }),
      Plot.ruleX([volumes[at]], { stroke: "var(--ink)", strokeOpacity: 0.55 }),
      ...lines,
      Plot.dot(here, { x: "requests", y: "usd", r: 4.5, fill: (d) => style(d.name).colour, stroke: "var(--ground)" }),
      Plot.tip(points, Plot.pointer({
        x: "requests", y: "usd", fill: "var(--ground)", stroke: "var(--muted)",
        title: (d) => `${d.name}\n${d.where}\n${asked.short(d.requests)} requests a month\n${d.text} USD`,
      })),
    ],
  });
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", asked.label);
  place.replaceChildren(chart);

  const spans = (name) => {
    const steps = curve.map(({ best }) => best?.name === name);
    const found = [];
    steps.forEach((won, step) => {
      if (won && !steps[step - 1]) found.push([step, step]);
      else if (won) found[found.length - 1][1] = step;
    });
    return found.map(([a, b]) => (a === b ? asked.short(volumes[a]) : `${asked.short(volumes[a])}–${asked.short(volumes[b])}`)).join(", ");
  };
  const swatch = (name) => {
    const { colour, dash, opacity } = style(name);
    const svg = d3.create("svg").attr("width", 28).attr("height", 10).attr("aria-hidden", "true");
    svg.append("line").attr("stroke-opacity", opacity ?? 1).attr("x1", 0).attr("x2", 28).attr("y1", 5).attr("y2", 5)
      .attr("stroke", colour).attr("stroke-width", 2.5).attr("stroke-dasharray", dash || null);
    return svg.node();
  };
  const entry = (name, said) => element("li", {}, swatch(name), ` ${name}`, element("span", { class: "of" }, said));
  legend.replaceChildren(
    ...winners.map((name) => entry(name, `: the cheapest at ${spans(name)}`)),
    ...(chosen && !winners.includes(chosen) ? [entry(chosen, ": chosen")] : []),
    element("li", {}, swatch(""), element("span", { class: "of" }, " other options; the band is the cheapest one's range")),
  );
};
