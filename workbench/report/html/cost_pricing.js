// What the engine found, priced: quantity times price, less the Savings Plan's discount, summed in
// the order of the lines (workbench/cost/money.py, savings_plan.py); the cheapest place of each
// option; options by their cost (workbench/cost/estimates.py, rank). How the data is laid out says
// workbench/cost/explorer/pack.py.
workbench.pricing = (data) => {
  const decimal = workbench.decimal;
  const amounts = data.amounts.map(decimal.of);
  const prices = data.prices.map(([usd, source, asOf, confidence]) => ({
    usd: decimal.of(usd),
    source: data.sources[source],
    asOf,
    confidence,
  }));
  const priced = new Map();
  for (const [option, place, byRegion] of data.priced) {
    priced.set(
      `${option} ${place}`,
      byRegion.map((flat) => {
        const known = new Map();
        for (let i = 0; i < flat.length; i += 2) known.set(flat[i], prices[flat[i + 1]]);
        return known;
      }),
    );
  }
  const bases = new Map();
  for (const [variant, place, basis] of data.based) bases.set(`${variant} ${place}`, data.bases[basis]);
  const rows = data.rows;

  // The lines of one end of a row, or null where a price is not known in the region.
  const lines = (row, end, region, discount) => {
    const option = rows.option[row];
    const known = priced.get(`${option} ${rows.place[row]}`)[region];
    const factor = decimal.subtract(decimal.one, discount);
    const found = [];
    const flat = data.bought[rows[end][row]];
    for (let i = 0; i < flat.length; i += 2) {
      const price = known.get(flat[i]);
      if (!price) return null;
      const [item, unit, note] = data.items[flat[i]];
      const covered = data.options[option].covered && unit === "hour" && discount.c !== 0n;
      const usd = covered ? decimal.multiply(price.usd, factor) : price.usd;
      const amount = amounts[flat[i + 1]];
      found.push({
        item, unit, note, amount, covered, price, each: usd,
        usd: decimal.multiply(amount, usd),
      });
    }
    return found;
  };

  const totals = new Map();
  const total = (row, end, region, discount) => {
    const where = `${rows.option[row]} ${rows.place[row]} ${region}`;
    const key = `${rows[end][row]} ${where} ${decimal.plain(discount)}`;
    if (!totals.has(key)) {
      const found = lines(row, end, region, discount);
      const sum = (all, line) => decimal.add(all, line.usd);
      totals.set(key, found && found.reduce(sum, decimal.zero));
    }
    return totals.get(key);
  };

  const choice = (variant, row, region, discount) => {
    const only = rows.only[row];
    if (only && !(only & (1 << region))) return null;
    const ends = ["low", "mid", "high"].map((end) => total(row, end, region, discount));
    if (ends.includes(null)) return null;
    const sorted = [...ends].sort(decimal.compare);
    const option = rows.option[row];
    const [measured, basis] = bases.get(`${variant} ${rows.place[row]}`);
    return {
      variant, row, option, name: data.options[option].name, place: data.places[rows.place[row]],
      usd: ends[1], low: sorted[0], high: sorted[2],
      p99: rows.p99[row], p99Low: rows.p99_low[row], p99High: rows.p99_high[row],
      instances: rows.instances[row], measured: Boolean(measured), basis,
    };
  };

  // All options at a point, the cheapest first, each on its cheapest place; and what is not possible.
  const point = ({ variant, objective, volume, region, discount }) => {
    const found = data.points[variant][objective][volume]
      .map((row) => choice(variant, row, region, discount))
      .filter(Boolean);
    // The rows are in the order of ties, which a stable sort keeps.
    found.sort((a, b) => decimal.compare(a.usd, b.usd));
    const seen = new Set();
    const choices = found.filter(({ option }) => !seen.has(option) && seen.add(option));
    const flat = data.refused[data.why[variant][objective][volume][region]];
    const refused = [];
    for (let i = 0; i < flat.length; i += 2) {
      const reasons = data.reasons[flat[i + 1]].map((at) => data.sentences[at]);
      refused.push({ name: data.options[flat[i]].name, reasons });
    }
    return { choices, refused, best: choices[0] ?? null };
  };

  const assumptions = (row, region) => {
    const said = data.said[rows.said[row]];
    return said[said.length === 1 ? 0 : region].map((at) => data.sentences[at]);
  };

  // What a variant saves against its baseline, each on its best option; the range as in saved() of
  // workbench/cost/explorer/answer.py.
  const saving = (ours, theirs) => {
    if (!ours || !theirs) return null;
    const { subtract } = decimal;
    const usd = subtract(theirs.usd, ours.usd);
    const alike =
      ours.option === theirs.option && ours.place === theirs.place && ours.basis === theirs.basis &&
      data.variants[ours.variant].integer === data.variants[theirs.variant].integer;
    const ends = alike
      ? [subtract(theirs.low, ours.low), usd, subtract(theirs.high, ours.high)]
      : [subtract(theirs.low, ours.high), usd, subtract(theirs.high, ours.low)];
    ends.sort(decimal.compare);
    const share = theirs.usd.c ? decimal.divide(usd, theirs.usd) : decimal.zero;
    return { usd, low: ends[0], high: ends[2], share };
  };

  return { point, lines, assumptions, saving };
};
