// Decimal arithmetic as Python's decimal module does it by default, which the cost engine uses:
// 28 significant digits, half to even. A number is a BigInt times a power of ten.
workbench.decimal = (() => {
  const DIGITS = 28;
  const powers = [1n];
  const ten = (n) => {
    while (powers.length <= n) powers.push(powers[powers.length - 1] * 10n);
    return powers[n];
  };
  const abs = (c) => (c < 0n ? -c : c);
  const length = (c) => abs(c).toString().length;

  // c / 10^n to a whole number.
  const shortened = (c, n, halfUp = false) => {
    const [whole, left] = [abs(c) / ten(n), abs(c) % ten(n)];
    const twice = 2n * left - ten(n);
    const up = twice > 0n || (twice === 0n && (halfUp || whole % 2n === 1n));
    const found = up ? whole + 1n : whole;
    return c < 0n ? -found : found;
  };

  const rounded = ({ c, e }, digits = DIGITS) => {
    const beyond = length(c) - digits;
    if (beyond <= 0) return { c, e };
    const found = { c: shortened(c, beyond), e: e + beyond };
    return length(found.c) > digits ? { c: found.c / 10n, e: found.e + 1 } : found;
  };

  const of = (text) => {
    const parts = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text);
    if (!parts || !(parts[2] || parts[3])) throw new Error(`no number: ${text}`);
    const c = BigInt(parts[2] + parts[3]);
    return { c: parts[1] === "-" ? -c : c, e: Number(parts[4] ?? 0) - parts[3].length };
  };

  const at = ({ c, e }, exponent) => c * ten(e - exponent);
  const add = (a, b) => {
    const e = Math.min(a.e, b.e);
    return rounded({ c: at(a, e) + at(b, e), e });
  };
  const minus = (a) => ({ c: -a.c, e: a.e });
  const subtract = (a, b) => add(a, minus(b));
  const multiply = (a, b) => rounded({ c: a.c * b.c, e: a.e + b.e });

  const divide = (a, b) => {
    if (b.c === 0n) throw new Error("division by zero");
    const ideal = a.e - b.e;
    if (a.c === 0n) return { c: 0n, e: ideal };
    const shift = Math.max(0, length(b.c) - length(a.c) + DIGITS + 1);
    const [top, below] = [abs(a.c) * ten(shift), abs(b.c)];
    let [c, e] = [top / below, ideal - shift];
    if (top % below !== 0n) {
      // A digit that is not dropped says that there is more.
      if (c % 5n === 0n) c += 1n;
    } else {
      while (e < ideal && c % 10n === 0n) [c, e] = [c / 10n, e + 1];
    }
    return rounded({ c: a.c < 0n === b.c < 0n ? c : -c, e });
  };

  const compare = (a, b) => {
    const e = Math.min(a.e, b.e);
    const [x, y] = [at(a, e), at(b, e)];
    return x < y ? -1 : x > y ? 1 : 0;
  };

  // With so many places behind the point.
  const fixed = (a, places, { halfUp = false, commas = false } = {}) => {
    const c = a.e >= -places ? at(a, -places) : shortened(a.c, -places - a.e, halfUp);
    const digits = abs(c).toString().padStart(places + 1, "0");
    const [whole, part] = [digits.slice(0, digits.length - places), digits.slice(digits.length - places)];
    const grouped = commas ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
    return `${a.c < 0n ? "-" : ""}${grouped}${places ? `.${part}` : ""}`;
  };

  // Python's format "g" with so many digits.
  const general = (a, digits) => {
    const { c, e } = rounded(a, digits);
    const figures = abs(c).toString();
    const before = e + figures.length;
    if (e <= 0 && before > -6) return plain({ c, e });
    const part = figures.slice(1);
    const power = before - 1;
    const sign = c < 0n ? "-" : "";
    return `${sign}${figures[0]}${part ? `.${part}` : ""}e${power < 0 ? "-" : "+"}${Math.abs(power)}`;
  };

  const plain = (a) => fixed(a, Math.max(0, -a.e));
  const trimmed = (a) => {
    let { c, e } = rounded(a);
    if (c === 0n) return "0";
    while (c % 10n === 0n) [c, e] = [c / 10n, e + 1];
    return plain({ c, e });
  };

  // As money() in workbench/report/costs.py.
  const money = (usd, places = 2) => {
    const small = compare({ c: abs(usd.c), e: usd.e }, { c: 1n, e: -places }) < 0;
    if (usd.c !== 0n && small) return general(usd, 2);
    return fixed(usd, places, { halfUp: true, commas: true });
  };
  const percent = (share) => `${fixed({ c: share.c, e: share.e + 2 }, 0)}%`;

  return {
    of, add, subtract, minus, multiply, divide, compare, fixed, general, plain, trimmed, money,
    percent, zero: of("0"), one: of("1"),
  };
})();
