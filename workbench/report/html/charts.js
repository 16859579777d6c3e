// What the charts share: the look of a variant, a legend that hides, a tip for mouse and keyboard.
workbench.charts = (() => {
  const { element, visible } = workbench;
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"];
  const DASHES = ["none", "6 3", "2 3", "8 3 2 3", "12 4"];
  const COLOURS = 8;

  // A variant's colour, symbol and dash depend on its place in the run alone, so that they are the
  // same in every chart; the three counts have no common factor: 280 variants look different.
  const look = (names, baseline) => {
    const looks = new Map();
    let at = 0;
    for (const name of names) {
      if (name === baseline) {
        looks.set(name, { colour: "var(--base)", symbol: "circle", dash: "none" });
        continue;
      }
      looks.set(name, {
        colour: `var(--c${at % COLOURS})`,
        symbol: SYMBOLS[(at + 1) % SYMBOLS.length],
        dash: DASHES[at % DASHES.length],
      });
      at += 1;
    }
    return looks;
  };

  const shape = (symbol) => d3[`symbol${symbol[0].toUpperCase()}${symbol.slice(1)}`];

  const swatch = ({ colour, symbol, dash }) => {
    const svg = d3.create("svg").attr("width", 30).attr("height", 14).attr("aria-hidden", "true");
    svg.append("line").attr("x1", 1).attr("x2", 29).attr("y1", 7).attr("y2", 7)
      .attr("stroke", colour).attr("stroke-width", 2).attr("stroke-dasharray", dash);
    svg.append("path").attr("d", d3.symbol(shape(symbol), 55)()).attr("fill", colour)
      .attr("transform", "translate(15,7)");
    return svg.node();
  };

  // One legend for each chart; hiding a variant hides it in all charts of its run.
  const legend = (box, state, names) => {
    box.replaceChildren(
      ...names.map((name) => {
        const button = element(
          "button",
          { type: "button", "aria-pressed": String(!state.hidden.has(name)) },
          swatch(state.looks.get(name)),
          element("bdi", {}, visible(name)),
        );
        button.addEventListener("click", () => {
          if (state.hidden.has(name)) state.hidden.delete(name);
          else state.hidden.add(name);
          state.redraw();
        });
        button.dataset.variant = name;
        return button;
      }),
    );
  };

  // The marks of a chart are one stop of the keyboard: arrows walk them, Escape closes the tip.
  const tips = (plot, marks) => {
    const tip = element("div", { class: "tip", hidden: true });
    plot.append(tip);
    const show = (node, text) => {
      tip.textContent = text;
      tip.hidden = false;
      const [box, at] = [plot.getBoundingClientRect(), node.getBoundingClientRect()];
      const x = at.x + at.width / 2 - box.x - tip.offsetWidth / 2;
      const y = at.y - box.y - tip.offsetHeight - 8;
      tip.style.left = `${Math.max(0, Math.min(x, box.width - tip.offsetWidth))}px`;
      tip.style.top = `${y < -40 ? at.bottom - box.y + 8 : y}px`;
    };
    const hide = () => (tip.hidden = true);
    marks.forEach(({ node, text }, i) => {
      node.classList.add("mark");
      node.setAttribute("tabindex", i === 0 ? "0" : "-1");
      node.setAttribute("role", "img");
      node.setAttribute("aria-label", text.replaceAll("\n", ", "));
      node.removeAttribute("aria-hidden");
      node.addEventListener("mouseenter", () => show(node, text));
      node.addEventListener("mouseleave", hide);
      node.addEventListener("focus", () => show(node, text));
      node.addEventListener("blur", hide);
      node.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") hide();
        if (!step) return;
        event.preventDefault();
        const next = marks[(i + step + marks.length) % marks.length].node;
        node.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    });
  };

  // Plot hides some of its groups from readers, with marks in them that say what they are.
  const named = (svg, label) => {
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", label);
    svg.querySelectorAll("[aria-hidden]").forEach((node) => node.removeAttribute("aria-hidden"));
    svg.querySelectorAll("g[aria-label]").forEach((node) => {
      node.removeAttribute("aria-label");
    });
    svg.querySelectorAll("text").forEach((node) => node.setAttribute("aria-hidden", "true"));
    return svg;
  };

  const style = {
    background: "none",
    color: "currentColor",
    fontSize: "12px",
    fontFamily: "inherit",
    overflow: "visible",
  };
  const ms = (value) => (value < 1 ? value.toFixed(3) : value < 10 ? value.toFixed(2)
    : value < 100 ? value.toFixed(1) : value.toFixed(0));
  const bytes = (value) => (value >= 1e6 ? `${(value / 1e6).toFixed(1)} MB`
    : `${(value / 1e3).toFixed(1)} kB`);

  return { look, legend, tips, named, style, shape, ms, bytes };
})();
