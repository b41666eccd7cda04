// The plot: predicted front, library, what was finetuned and measured, and the reference; any cost to the right, top-1 upwards.
const plot = document.getElementById("plot"), costChoice = document.getElementById("cost");
const numbered = report.networks.map((network, number) => ({ ...network, number }));
const of = (role) => numbered.filter((network) => network.roles.includes(role));
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function trace(name, networks, x, y, style) {
  return {
    name, x: networks.map(x), y: networks.map(y), customdata: networks.map((network) => network.number),
    type: "scatter", mode: "markers", hoverinfo: "none", ...style,
  };
}

function traces(cost) {
  const foretold = (network) => network.costs[cost.name][0] / cost.size;
  const found = (network) => (cost.name === report.device && network.measured !== null ? network.measured / cost.size : foretold(network));
  const error = (values, tint) => ({ type: "data", array: values, color: tint, thickness: 1, width: 0 });
  const front = of("front").sort((a, b) => foretold(a) - foretold(b));
  const made = [
    trace("Architecture Library, finetuned", of("library"), foretold, (one) => one.top1,
      { marker: { symbol: "x-thin", size: 7, line: { width: 1.5, color: color("library") } } }),
    trace("predicted front", front, foretold, (one) => one.predicted, {
      mode: "lines+markers", line: { color: color("front"), width: 1.5 }, marker: { size: 7, color: color("front") },
      error_y: error(front.map((one) => one.std), color("front-error")),
      error_x: error(front.map((one) => one.costs[cost.name][1] / cost.size), color("front-error")),
    }),
  ];
  for (const [role, name, symbol, size] of [["verified", "front", "star", 14], ["random", "random", "diamond", 10]]) {
    const networks = of(role), steps = networks.flatMap((one) => [one, one, null]);
    if (!networks.length) continue;
    made.push(
      trace("", [], foretold, foretold, {
        mode: "lines", showlegend: false, hoverinfo: "skip", line: { color: color(role), width: 1.2, dash: "dot" },
        x: steps.map((one, place) => one && (place % 3 ? found(one) : foretold(one))),
        y: steps.map((one, place) => one && (place % 3 ? one.top1 : one.predicted)),
      }),
      trace(`${name}: predicted`, networks, foretold, (one) => one.predicted,
        { marker: { symbol: `${role === "random" ? "diamond" : "circle"}-open`, size: 10, color: color(role), line: { width: 1.5 } } }),
      trace(`${name}: finetuned, measured`, networks, found, (one) => one.top1, { marker: { symbol, size, color: color(role) } }),
    );
  }
  made.push(trace("reference", of("reference"), foretold, (one) => one.top1, { marker: { symbol: "square", size: 9, color: color("text") } }));
  const rings = numbered.filter((one) => pinned.includes(one.number));
  made.push(trace("", rings, foretold, (one) => one.predicted ?? one.top1,
    { showlegend: false, hoverinfo: "skip", marker: { symbol: "circle-open", size: 18, color: color("accent"), line: { width: 2 } } }));
  return made;
}

function layout(cost) {
  const axis = { gridcolor: color("rule"), linecolor: color("rule"), zeroline: false, automargin: true };
  return {
    xaxis: { ...axis, title: { text: `${cost.title} [${cost.unit}]`, standoff: 10 } },
    yaxis: { ...axis, title: { text: "top-1 on the test images [%]", standoff: 6 } },
    font: { family: "system-ui, sans-serif", size: 13, color: color("text") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", hoverdistance: 30, // a finger scrolls the page, a mouse zooms
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    margin: { l: 8, r: 12, t: 12, b: 8 }, showlegend: true, uirevision: cost.name,
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, xanchor: "left", font: { size: 12 } },
  };
}

function drawPlot() {
  const cost = report.costs[costChoice.selectedIndex];
  Plotly.react(plot, traces(cost), layout(cost), { responsive: true, displaylogo: false, displayModeBar: false });
}

if (window.Plotly) {
  report.costs.forEach((cost) => costChoice.append(element("option", {}, `${cost.title} [${cost.unit}], ${cost.origin}`)));
  drawPlot();
  plot.on("plotly_hover", ({ points }) => points[0].customdata !== undefined && show(points[0].customdata));
  plot.on("plotly_click", ({ points }) => points[0].customdata !== undefined && pin(points[0].customdata));
  costChoice.addEventListener("change", drawPlot);
  document.addEventListener("pinned", drawPlot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlot);
}
