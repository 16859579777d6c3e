// Bytes of the model after each distinct step, by part.
workbench.charts.stages = ({ data, plot, legend, width, label }) => {
  const { named, tips, style, bytes } = workbench.charts;
  const { element, visible } = workbench;
  const parts = [...new Set(data.stages.flatMap((s) => Object.keys(s.parts)))];
  // Shades of one hue, told apart by their order as well, which is the legend's.
  const shade = (part) =>
    `color-mix(in oklab, var(--accent) ${100 - 80 * (parts.indexOf(part) / parts.length)}%, var(--ground))`;
  const rows = data.stages.flatMap((stage, at) =>
    parts
      .filter((part) => stage.parts[part])
      .map((part) => ({ at, part, bytes: stage.parts[part] })),
  );
  const few = width < 520;
  const name = (at) => {
    const { label: chain, step, variants } = data.stages[at];
    const who = variants.length > 3 ? `${variants.length} variants` : variants.join(", ");
    const all = `${few ? step : chain} (${who})`;
    const most = few ? 40 : 44;
    return visible(all.length > most ? `…${all.slice(all.length - most)}` : all);
  };
  const totals = data.stages.map((stage, at) => ({ at, bytes: d3.sum(Object.values(stage.parts)) }));
  const svg = Plot.plot({
    style,
    width,
    height: 44 + data.stages.length * (few ? 52 : 38),
    marginLeft: few ? 4 : 290,
    marginRight: 66,
    marginTop: few ? 16 : 6,
    marginBottom: 34,
    x: { label: "MB →", labelAnchor: "right", transform: (b) => b / 1e6, ticks: few ? 3 : 6 },
    y: { domain: d3.range(data.stages.length), label: null, axis: null, padding: few ? 0.45 : 0.3 },
    color: { type: "identity" },
    marks: [
      Plot.gridX({ strokeOpacity: 0.12 }),
      Plot.barX(rows, Plot.stackX({ x: "bytes", y: "at", fill: (r) => shade(r.part),
        stroke: "var(--ground)", className: "dots" })),
      Plot.text(totals, { x: "bytes", y: "at", text: (t) => bytes(t.bytes), dx: 8,
        textAnchor: "start", fontWeight: 600, fill: "var(--ink)" }),
      Plot.text(d3.range(data.stages.length), {
        y: (at) => at, text: name, frameAnchor: "left", fill: "var(--ink)",
        textAnchor: few ? "start" : "end", dx: few ? 0 : -12, dy: few ? -22 : 0,
      }),
    ],
  });
  plot.replaceChildren(named(svg, label));
  legend.replaceChildren(
    ...parts.map((part) => {
      const box = d3.create("svg").attr("width", 14).attr("height", 14).attr("aria-hidden", "true");
      box.append("rect").attr("width", 14).attr("height", 14).attr("rx", 2)
        .attr("fill", shade(part)).attr("stroke", "var(--muted)").attr("stroke-width", 0.5);
      return element("span", {}, box.node(), visible(part));
    }),
  );
  tips(
    plot,
    [...svg.querySelectorAll(".dots rect")].map((node) => {
      const row = rows[node.__data__];
      node.dataset.bytes = row.bytes;
      return { node, text: `${name(row.at)}\n${visible(row.part)}: ${bytes(row.bytes)}` };
    }),
  );
};
