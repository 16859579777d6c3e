// Quality against latency; the area of a mark is the size, a hollow one is beaten.
{
  // Names beside the marks: above, right, below or left, wherever nothing stands yet.
  const name = (svg, nodes, of) => {
    const origin = svg.getBoundingClientRect();
    const taken = nodes.map((node) => node.getBoundingClientRect());
    const free = (box) =>
      box.x >= origin.x && box.right <= origin.right + 40 &&
      !taken.some((t) => t !== box.own && box.x < t.right && t.x < box.right &&
        box.y < t.bottom && t.y < box.bottom);
    nodes.forEach((node) => {
      const text = of(node);
      if (!text) return;
      const own = node.getBoundingClientRect();
      const label = d3.select(svg).append("text").text(text).attr("aria-hidden", "true")
        .attr("class", "name").attr("text-anchor", "start");
      const { width, height } = label.node().getBoundingClientRect();
      const middle = own.x + own.width / 2 - width / 2;
      const level = own.y + own.height / 2 - height / 2;
      const places = [
        [middle, own.y - height - 2],
        [own.right + 6, level],
        [middle, own.bottom + 2],
        [own.x - width - 6, level],
        [own.right + 4, own.y - height],
        [own.right + 4, own.bottom],
        [own.x - width - 4, own.y - height],
        [own.x - width - 4, own.bottom],
        [middle, own.y - 2.2 * height],
        [middle, own.bottom + 1.2 * height],
      ].map(([x, y]) => ({ x, y, right: x + width, bottom: y + height, own }));
      const at = places.find(free) ?? places[0];
      taken.push(at);
      label.attr("x", at.x - origin.x).attr("y", at.y - origin.y + height * 0.8);
    });
  };

  workbench.charts.frontier = ({ data, plot, cell, width, state, label }) => {
    const { named, tips, style, ms, bytes } = workbench.charts;
    const { visible } = workbench;
    const points = data.frontier[cell].filter((p) => !state.hidden.has(p.variant));
    const scaled = data.quality !== null;
    const y = (p) => (scaled ? p.quality?.value : p.size_bytes / 1e6);
    const drawn = points.filter((p) => y(p) !== undefined);
    const largest = d3.max(data.frontier[cell], (p) => p.size_bytes);
    const area = (p) => 60 + 540 * (p.size_bytes / largest);
    const radius = (p) => Math.sqrt(area(p) / Math.PI);
    const colour = (p) => state.looks.get(p.variant).colour;
    const few = width < 520;

    const xs = drawn.flatMap((p) => [p.ms.low, p.ms.high]);
    const wide = d3.max(xs) / d3.min(xs) > 12;
    const svg = Plot.plot({
      style,
      width,
      height: few ? 340 : 420,
      marginLeft: 64,
      marginRight: few ? 20 : 60,
      marginTop: 34,
      marginBottom: 48,
      x: {
        type: wide ? "log" : "linear",
        label: "p50, ms →",
        labelAnchor: "right",
        labelOffset: 36,
        nice: !wide,
        inset: 22,
        ticks: few ? 4 : 8,
        ...(wide ? {} : { zero: true }),
      },
      y: {
        label: `↑ ${scaled ? visible(data.quality.label) : "size, MB"}`,
        inset: 22,
        ticks: 6,
        tickFormat: scaled && data.quality.kind === "difference" ? "+" : undefined,
      },
      marks: [
        Plot.gridY({ strokeOpacity: 0.12 }),
        Plot.gridX({ strokeOpacity: 0.12 }),
        scaled && data.quality.kind === "difference"
          ? Plot.ruleY([0], { stroke: "var(--base)", strokeDasharray: "3 3" })
          : null,
        Plot.ruleY(drawn, {
          x1: (p) => p.ms.low, x2: (p) => p.ms.high, y, stroke: colour, strokeOpacity: 0.75,
        }),
        scaled
          ? Plot.ruleX(drawn, {
              x: (p) => p.ms.value, y1: (p) => p.quality.low, y2: (p) => p.quality.high,
              stroke: colour, strokeOpacity: 0.75,
            })
          : null,
        Plot.dot(drawn, {
          x: (p) => p.ms.value,
          y,
          r: radius,
          symbol: (p) => state.looks.get(p.variant).symbol,
          fill: (p) => (p.beaten_by ? "var(--ground)" : colour(p)),
          stroke: colour,
          strokeWidth: 2,
          className: "dots",
        }),
      ],
      r: { type: "identity" },
      symbol: { type: "identity" },
      color: { type: "identity" },
    });
    named(svg, label);
    plot.replaceChildren(svg);
    const nodes = [...svg.querySelectorAll(".dots path, .dots circle")];
    tips(
      plot,
      nodes.map((node) => {
        const p = drawn[node.__data__];
        node.dataset.variant = p.variant;
        node.dataset.ms = p.ms.value;
        node.dataset.y = y(p);
        const quality = p.quality ? `\n${data.quality.label}: ${p.quality.value.toPrecision(4)}` : "";
        return {
          node,
          text:
            `${visible(p.variant)}\np50 ${ms(p.ms.value)} ms [${ms(p.ms.low)}, ${ms(p.ms.high)}]` +
            `${visible(quality)}\n${bytes(p.size_bytes)}` +
            (p.beaten_by ? `\nbeaten by ${visible(p.beaten_by)}` : "\non the frontier"),
        };
      }),
    );
    name(svg, nodes, (node) => {
      const p = drawn[node.__data__];
      return drawn.length <= 8 || !p.beaten_by || p.variant === data.best ? visible(p.variant) : "";
    });
    for (const table of plot.closest("section").querySelectorAll("[data-cell]")) {
      table.hidden = Number(table.dataset.cell) !== cell;
    }
  };
}
