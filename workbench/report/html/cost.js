// The cost explorer: controls, tables and the address, around what cost_pricing.js computes.
(async () => {
  const root = document.getElementById("cost-explorer");
  const packed = workbench.data.cost?.packed;
  if (!root || !packed) return;
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(stream).text());
  const { baselines, start } = workbench.data.cost;

  const { decimal, element } = workbench;
  const { money } = decimal;
  const pricing = workbench.pricing(data);
  const find = (name) => root.querySelector(`[data-cost="${name}"]`);
  const volumes = data.volumes.map(decimal.of);
  const none = "–";

  // Words.
  const short = (requests) => {
    const value = Number(decimal.plain(requests));
    for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "K"]]) {
      if (value >= size) return `${Number((value / size).toPrecision(6))} ${letter}`;
    }
    return `${Number(value.toPrecision(6))}`;
  };
  const ms = (value) =>
    value < 1 ? value.toFixed(3) : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1)
      : value.toFixed(0);
  const objective = (at) => {
    const value = data.objectives[at];
    return value === null ? "any latency" : `p99 within ${ms(value).replace(/\.0+$/, "")} ms`;
  };
  const off = (state) => (state.discount ? `, ${state.discount}% off by a Savings Plan` : "");
  const list = (words) =>
    words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;

  // State: places in the data's lists, but a discount in percent and an option by its name.
  const first = { ...start, volume: data.own, region: 0, objective: data.asked, discount: 0, option: "" };
  const whole = (text, below) => {
    const value = Number(text);
    return Number.isInteger(value) && value >= 0 && value < below ? value : null;
  };
  const read = () => {
    const state = { ...first };
    const asked = new URLSearchParams(location.hash.startsWith("#cost?") ? location.hash.slice(6) : "");
    const place = (values, value) => (values.indexOf(value) >= 0 ? values.indexOf(value) : null);
    const found = {
      volume: place(data.volumes.map((v) => Number(v)), Number(asked.get("requests"))),
      region: place(data.regions, asked.get("region")),
      objective: place(data.objectives.map((v) => v ?? 0), Number(asked.get("p99") ?? NaN)),
      discount: whole(asked.get("off") ?? NaN, data.most + 1),
      variant: place(data.variants.map(({ name }) => name), asked.get("variant")),
      option: asked.get("option"),
    };
    for (const [key, value] of Object.entries(found)) if (value !== null) state[key] = value;
    return state;
  };
  const write = (state) => {
    const asked = new URLSearchParams({
      requests: Number(data.volumes[state.volume]),
      region: data.regions[state.region],
      p99: data.objectives[state.objective] ?? 0,
      off: state.discount,
      variant: data.variants[state.variant].name,
      ...(state.option ? { option: state.option } : {}),
    });
    try {
      history.replaceState(null, "", `#cost?${asked}`);
    } catch {
      // A browser that keeps a file's address as it is, or had too many changes: no harm.
    }
  };

  const control = { };
  for (const name of ["volume", "region", "objective", "discount", "variant"]) control[name] = find(name);
  const choices = (select, names) =>
    select.replaceChildren(...names.map((name, at) => element("option", { value: at }, name)));
  choices(control.region, data.regions);
  choices(control.objective, data.objectives.map((_, at) => objective(at)));
  choices(control.variant, data.variants.map(({ name }) => workbench.visible(name)));
  control.volume.max = data.volumes.length - 1;
  control.discount.max = data.most;
  find("ticks").replaceChildren(
    ...volumes.map((v, at) => element("option", { value: at, label: short(v) })),
  );

  const question = (state, variant = state.variant) => ({
    variant,
    objective: state.objective,
    volume: state.volume,
    region: state.region,
    discount: decimal.divide(decimal.of(`${state.discount}`), decimal.of("100")),
  });

  // Cells as tables.js reads them.
  const cell = (text, attributes = {}, name = "td") => element(name, attributes, text);
  const figure = (value, shown, low, high) => {
    const made = cell(shown(value), { class: "number", "data-value": plain(value) });
    if (low !== undefined && plain(low) !== plain(high)) {
      made.dataset.low = plain(low);
      made.dataset.high = plain(high);
      made.append(" ", element("span", { class: "of" }, `[${shown(low)}, ${shown(high)}]`));
    }
    return made;
  };
  const plain = (value) => (typeof value === "number" ? `${value}` : decimal.plain(value));
  const empty = () => cell(none, { class: "number" });
  const fill = (table, rows) => {
    table.tBodies[0].replaceChildren(...rows);
    for (const header of table.tHead.rows[0].cells) header.setAttribute("aria-sort", "none");
  };
  // Without the source, which stands below the bill.
  const told = (basis) => (basis.includes(": ") ? `${basis.split(": ")[0]})` : basis);
  const starred = (choice) => `${choice.place}${choice.measured ? "" : " *"}`;

  const optionRow = (state, choice, requests) => {
    const pick = element(
      "button",
      { type: "button", class: "pick", "aria-pressed": `${choice.name === state.option}` },
      choice.name,
    );
    pick.addEventListener("click", () => change({ option: choice.name }));
    const each = decimal.divide(decimal.multiply(choice.usd, decimal.of("1000")), requests);
    return element(
      "tr",
      { "data-option": choice.name, "aria-current": choice.name === state.option ? "true" : null },
      cell(pick, { scope: "row" }, "th"),
      figure(choice.usd, money, choice.low, choice.high),
      cell(starred(choice)),
      choice.instances ? figure(choice.instances, (n) => n.toLocaleString("en")) : empty(),
      figure(choice.p99, ms, choice.p99Low, choice.p99High),
      figure(each, (usd) => money(usd, 4)),
      figure(decimal.multiply(each, decimal.of("1000")), money),
    );
  };

  const variantRow = (state, at, points) => {
    const { best } = points[at];
    const theirs = points[baselines[at]].best;
    const saved = baselines[at] === at ? null : pricing.saving(best, theirs);
    const name = workbench.visible(data.variants[at].name);
    return element(
      "tr",
      { "data-variant": name, "aria-current": at === state.variant ? "true" : null },
      cell(baselines[at] === at ? `${name} (baseline)` : name, { scope: "row" }, "th"),
      cell(best ? `${best.name}, ${starred(best)}` : "no option is possible"),
      best ? figure(best.p99, ms, best.p99Low, best.p99High) : empty(),
      best ? figure(best.usd, money, best.low, best.high) : empty(),
      saved ? figure(saved.usd, money, saved.low, saved.high) : empty(),
      saved ? figure(saved.share, decimal.percent) : empty(),
    );
  };

  const billRow = (line) =>
    element(
      "tr",
      {},
      cell(line.note ? `${line.item}, ${line.note}` : line.item, { scope: "row" }, "th"),
      cell(`${quantity(line.amount)} ${line.unit}`, {
        class: "number",
        "data-value": decimal.plain(line.amount),
      }),
      cell(`${decimal.trimmed(line.each)} / ${line.unit}`, {
        class: "number",
        "data-value": decimal.plain(line.each),
      }),
      figure(line.usd, (usd) => money(usd, 4)),
      cell(
        line.covered
          ? `${line.price.source}; Savings Plan: ${current.discount}% off, on 100% of the use`
          : line.price.source,
      ),
      cell(line.price.asOf),
    );
  const quantity = (amount) =>
    decimal.compare(amount, decimal.of("1000")) >= 0
      ? decimal.fixed(amount, 0, { commas: true })
      : decimal.general(amount, 4);

  const showBill = (state, chosen) => {
    const place = find("bill");
    place.hidden = !chosen;
    if (!chosen) return;
    const { discount } = question(state);
    const lines = pricing.lines(chosen.row, "mid", state.region, discount);
    const table = place.querySelector("table");
    const title = data.options[chosen.option].title;
    const name = workbench.visible(data.variants[state.variant].name);
    table.caption.textContent = `The bill of ${name}: ${title}; on ${chosen.place}`;
    table.closest(".scroll").setAttribute("aria-label", table.caption.textContent);
    fill(table, lines.map(billRow));
    table.tFoot.rows[0].cells[1].replaceChildren(`${money(chosen.usd, 4)}`);
    const said = [chosen.basis, ...pricing.assumptions(chosen.row, state.region)];
    place.querySelector("ul").replaceChildren(...said.map((one) => element("li", {}, one)));
  };

  const showRefused = (refused) => {
    const place = find("refused");
    place.hidden = !refused.length;
    place.querySelector("summary").textContent = `${refused.length} options are not possible`;
    place.querySelector("dl").replaceChildren(
      ...refused.flatMap(({ name, reasons }) => [
        element("dt", { "data-refused": name }, name),
        ...reasons.map((reason) => element("dd", {}, reason)),
      ]),
    );
  };

  const answer = (state, points) => {
    const asked =
      `${short(volumes[state.volume])} requests a month in ${data.regions[state.region]}, ` +
      `${objective(state.objective)}${off(state)}`;
    const ours = points[state.variant];
    const name = workbench.visible(data.variants[state.variant].name);
    if (!ours.best) return `${asked}: no option is possible for ${name}; the reasons stand below.`;
    const { best } = ours;
    const range = decimal.compare(best.low, best.high) ? ` (${money(best.low)}–${money(best.high)})` : "";
    const cost = `${money(best.usd)} USD a month${range}`;
    const said = `${asked}: ${name} on ${best.name} (${best.place}), ${cost}`;
    const other = points[baselines[state.variant]];
    if (baselines[state.variant] === state.variant) return `${said}.`;
    const base = workbench.visible(data.variants[baselines[state.variant]].name);
    const saved = pricing.saving(best, other.best);
    if (!saved) return `${said}; ${base} keeps the objective on no option.`;
    const share = decimal.percent(saved.share.c < 0n ? decimal.minus(saved.share) : saved.share);
    const how = saved.usd.c === 0n ? "as much as" : `${share} ${saved.usd.c < 0n ? "more" : "less"} than`;
    const unsure = saved.low.c < 0n && saved.high.c > 0n
      ? ` By the ranges it may cost ${money(decimal.minus(saved.low))} USD more, or ${money(saved.high)} less.`
      : "";
    return `${said}, ${how} ${base} on ${other.best.name} (${other.best.place}).${unsure}`;
  };

  // Where the cheapest option changes between two steps.
  const changes = (curve) => {
    const found = [];
    for (let at = 1; at < curve.length; at += 1) {
      const [before, after] = [curve[at - 1].best?.name, curve[at].best?.name];
      if (before !== after) {
        const between = `between ${short(volumes[at - 1])} and ${short(volumes[at])} requests a month`;
        found.push(`${between}: from ${before ?? "no option"} to ${after ?? "no option"}`);
      }
    }
    return found;
  };

  let current = read();
  let latest = null;
  const draw = () => {
    const { state, curve, chosen } = latest;
    const name = workbench.visible(data.variants[state.variant].name);
    workbench.costChart(find("chart"), find("legend"), {
      curve,
      volumes: data.volumes.map(Number),
      at: state.volume,
      chosen,
      money,
      short: (value) => short(decimal.of(`${value}`)),
      number: (usd) => Number(decimal.plain(usd)),
      label: `USD a month of all options of ${name} against requests a month`,
    });
  };
  const show = (state) => {
    for (const name of Object.keys(control)) control[name].value = state[name];
    const requests = volumes[state.volume];
    find("volume-said").textContent = `${short(requests)} requests a month`;
    control.volume.setAttribute("aria-valuetext", `${short(requests)} requests a month`);
    find("discount-said").textContent = `${state.discount}%`;
    control.discount.setAttribute("aria-valuetext", `${state.discount} percent`);

    const points = data.variants.map((_, at) => pricing.point(question(state, at)));
    const ours = points[state.variant];
    const chosen = ours.choices.find(({ name }) => name === state.option) ?? ours.best;
    const shown = { ...state, option: chosen?.name ?? "" };
    find("answer").textContent = answer(state, points);
    fill(find("variants").querySelector("table"), points.map((_, at) => variantRow(state, at, points)));
    const table = find("options").querySelector("table");
    table.caption.textContent =
      `${workbench.visible(data.variants[state.variant].name)}: all options, ` +
      `${short(requests)} requests a month, ${data.regions[state.region]}`;
    fill(table, ours.choices.map((choice) => optionRow(shown, choice, requests)));
    const bases = new Set(ours.choices.filter((c) => !c.measured).map((c) => told(c.basis)));
    find("predicted").replaceChildren(
      ...[...bases].map((basis) => element("li", {}, `* predicted: ${basis}`)),
    );
    showRefused(ours.refused);
    showBill(state, chosen);

    const curve = volumes.map((_, volume) => pricing.point({ ...question(state), volume }));
    const found = changes(curve);
    find("changes").textContent = found.length
      ? `The cheapest option changes ${list(found)}.`
      : "The same option is the cheapest at all steps.";
    latest = { state, curve, chosen: chosen?.name };
    draw();
    root.dataset.ready = JSON.stringify(state);
  };

  const change = (some) => {
    const focused = document.activeElement?.closest?.("tr[data-option]")?.dataset.option;
    current = { ...current, ...some };
    write(current);
    show(current);
    if (focused) root.querySelector(`tr[data-option="${focused}"] button`)?.focus();
  };
  for (const name of Object.keys(control)) {
    control[name].addEventListener("input", () => change({ [name]: Number(control[name].value) }));
  }
  window.addEventListener("hashchange", () => {
    if (!location.hash.startsWith("#cost?")) return;
    current = read();
    show(current);
  });
  find("form").addEventListener("submit", (event) => event.preventDefault());
  root.querySelectorAll("[data-cost=needs-script]").forEach((each) => each.remove());
  root.querySelectorAll(".waits").forEach((each) => each.classList.remove("waits"));
  show(current);
  if (location.hash.startsWith("#cost?")) root.scrollIntoView();
  let width = find("chart").clientWidth;
  new ResizeObserver(() => {
    if (find("chart").clientWidth === width) return;
    width = find("chart").clientWidth;
    draw();
  }).observe(find("chart"));
})();
