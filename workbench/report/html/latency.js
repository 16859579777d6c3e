// The distribution of each variant's samples in a cell, and latency and throughput by batch.
(() => {
  const { named, tips, style, ms } = workbench.charts;
  const { visible } = workbench;

  const settings = (data) =>
    data.run.variants
      .flatMap((v) => v.measurement?.latency ?? [])
      .map((l) => l.setting)
      .filter((s, i, all) => all.findIndex((o) => same(o, s)) === i);
  const same = (a, b) =>
    a.batch === b.batch && a.sequence === b.sequence && a.threads === b.threads &&
    a.device === b.device;
  const shown = (data, state) => data.run.variants.filter((v) => !state.hidden.has(v.name));

  workbench.charts.distribution = ({ data, plot, cell, width, state, label }) => {
    const at = settings(data)[cell];
    const series = shown(data, state).flatMap((v) =>
      (v.measurement?.latency ?? [])
        .filter((l) => same(l.setting, at) && l.samples_ms.length > 1)
        .map((l) => ({ name: v.name, l })),
    );
    const points = series.flatMap(({ name, l }) =>
      l.samples_ms.map((value, i) => ({ name, value, share: i / (l.samples_ms.length - 1) })),
    );
    if (!points.length) {
      plot.replaceChildren("No samples are in run.json for this cell.");
      return;
    }
    const values = d3.sort(points.map((p) => p.value));
    const wide = d3.max(values) / d3.min(values) > 12;
    const look = (name) => state.looks.get(name);
    const svg = Plot.plot({
      style,
      width,
      height: width < 520 ? 300 : 340,
      marginLeft: 52,
      marginTop: 30,
      marginRight: 16,
      marginBottom: 44,
      x: { type: wide ? "log" : "linear", label: "ms →", labelAnchor: "right", zero: !wide,
        ticks: width < 520 ? 4 : 8 },
      y: { label: "↑ share of samples", tickFormat: "%", domain: [0, 1] },
      marks: [
        Plot.gridY({ strokeOpacity: 0.12 }),
        Plot.gridX({ strokeOpacity: 0.12 }),
        Plot.ruleY([0.5], { stroke: "var(--base)", strokeDasharray: "3 3" }),
        ...series.map(({ name, l }) =>
          Plot.lineY(l.samples_ms, {
            x: (value) => value,
            y: (_, i) => i / (l.samples_ms.length - 1),
            stroke: look(name).colour,
            strokeWidth: 2,
            strokeDasharray: look(name).dash,
            className: "curve",
          }),
        ),
        Plot.dot(series, {
          x: ({ l }) => l.p50_ms.value, y: 0.5, fill: ({ name }) => look(name).colour,
          symbol: ({ name }) => look(name).symbol, r: 5, stroke: "var(--ground)", className: "dots",
        }),
      ],
      symbol: { type: "identity" },
      color: { type: "identity" },
    });
    plot.replaceChildren(named(svg, label));
    tips(
      plot,
      [...svg.querySelectorAll(".dots path, .dots circle")].map((node) => {
        const { name, l } = series[node.__data__];
        node.dataset.variant = name;
        node.dataset.ms = l.p50_ms.value;
        const more = ["p95", "p99"].filter((p) => l[`${p}_ms`])
          .map((p) => `, ${p} ${ms(l[`${p}_ms`].value)}`).join("");
        return {
          node,
          text: `${visible(name)}\np50 ${ms(l.p50_ms.value)}${more} ms\n${l.p50_ms.n} samples` +
            (l.steady ? "" : "\nrounds disagree"),
        };
      }),
    );
  };

  workbench.charts.batch = ({ data, plot, cell, width, state, label }) => {
    const every = settings(data);
    const least = d3.min(every, (s) => s.batch);
    const like = every.filter((s) => s.batch === least)[cell];
    const rows = shown(data, state).flatMap((v) =>
      (v.measurement?.latency ?? [])
        .filter((l) => same({ ...l.setting, batch: least }, like))
        .map((l) => ({ name: v.name, batch: l.setting.batch, p50: l.p50_ms })),
    );
    const look = (name) => state.looks.get(name);
    const names = [...new Set(rows.map((r) => r.name))];
    const half = width < 640 ? width : (width - 24) / 2;
    const draw = (value, low, high, title) => {
      const svg = Plot.plot({
        style,
        width: half,
        height: 300,
        marginLeft: 56,
        marginTop: 30,
        marginBottom: 44,
        x: { type: "log", base: 2, label: "batch →", labelAnchor: "right", inset: 14,
          ticks: [...new Set(rows.map((r) => r.batch))], tickFormat: "d" },
        y: { label: title, zero: true, grid: false, nice: true },
        marks: [
          Plot.gridY({ strokeOpacity: 0.12 }),
          Plot.ruleY([0], { strokeOpacity: 0.4 }),
          ...names.map((name) =>
            Plot.lineY(rows.filter((r) => r.name === name), {
              x: "batch", y: value, stroke: look(name).colour, strokeWidth: 2,
              strokeDasharray: look(name).dash,
            }),
          ),
          Plot.ruleX(rows, {
            x: "batch", y1: low, y2: high, stroke: (r) => look(r.name).colour, strokeOpacity: 0.75,
          }),
          Plot.dot(rows, {
            x: "batch", y: value, fill: (r) => look(r.name).colour,
            symbol: (r) => look(r.name).symbol, r: 5, stroke: "var(--ground)", className: "dots",
          }),
        ],
        symbol: { type: "identity" },
        color: { type: "identity" },
      });
      return named(svg, `${label}: ${title}`);
    };
    const persecond = (r, p) => (1000 * r.batch) / p;
    const parts = [
      draw((r) => r.p50.value, (r) => r.p50.low, (r) => r.p50.high, "↑ p50 of a batch, ms"),
      draw((r) => persecond(r, r.p50.value), (r) => persecond(r, r.p50.high),
        (r) => persecond(r, r.p50.low), "↑ samples a second"),
    ];
    const box = workbench.element("div", { class: "pair-of" });
    box.append(...parts);
    plot.replaceChildren(box);
    tips(
      plot,
      parts.flatMap((svg) =>
        [...svg.querySelectorAll(".dots path, .dots circle")].map((node) => {
          const r = rows[node.__data__];
          node.dataset.variant = r.name;
          node.dataset.ms = r.p50.value;
          const rate = persecond(r, r.p50.value);
          return {
            node,
            text: `${visible(r.name)}, batch ${r.batch}\np50 ${ms(r.p50.value)} ms ` +
              `[${ms(r.p50.low)}, ${ms(r.p50.high)}]\n${rate.toPrecision(4)} samples a second`,
          };
        }),
      ),
    );
  };
})();
