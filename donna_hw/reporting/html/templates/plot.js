// The plot: the predicted front, the library, the finetuned and measured networks, and the reference, as top-1 over any cost.
const plot = document.getElementById("plot"), costChoice = document.getElementById("cost");
const numbered = report.networks.map((network, number) => ({ ...network, number }));
const withRole = (role) => numbered.filter((network) => network.roles.includes(role));
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function trace(name, networks, x, y, style) {
  return {
    name, x: networks.map(x), y: networks.map(y), customdata: networks.map((network) => network.number),
    type: "scatter", mode: "markers", hoverinfo: "none", ...style,
  };
}

function traces(cost) {
  const predictedCost = (network) => network.costs[cost.name][0] / cost.size;
  const measuredCost = (network) => (cost.name === report.device && network.measured !== null ? network.measured / cost.size : predictedCost(network));
  const error = (values, tint) => ({ type: "data", array: values, color: tint, thickness: 1, width: 0 });
  const front = withRole("front").sort((a, b) => predictedCost(a) - predictedCost(b));
  const all = [
    trace("Architecture Library, finetuned", withRole("library"), predictedCost, (network) => network.top1,
      { marker: { symbol: "x-thin", size: 7, line: { width: 1.5, color: color("library") } } }),
    trace("predicted front", front, predictedCost, (network) => network.predicted, {
      mode: "lines+markers", line: { color: color("front"), width: 1.5 }, marker: { size: 7, color: color("front") },
      error_y: error(front.map((network) => network.std), color("front-error")),
      error_x: error(front.map((network) => network.costs[cost.name][1] / cost.size), color("front-error")),
    }),
  ];
  for (const [role, name, symbol, size] of [["verified", "front", "star", 14], ["random", "random", "diamond", 10]]) {
    const networks = withRole(role), steps = networks.flatMap((network) => [network, network, null]);
    if (!networks.length) continue;
    all.push(
      trace("", [], predictedCost, predictedCost, {
        mode: "lines", showlegend: false, hoverinfo: "skip", line: { color: color(role), width: 1.2, dash: "dot" },
        x: steps.map((network, index) => network && (index % 3 ? measuredCost(network) : predictedCost(network))),
        y: steps.map((network, index) => network && (index % 3 ? network.top1 : network.predicted)),
      }),
      trace(`${name}: predicted`, networks, predictedCost, (network) => network.predicted,
        { marker: { symbol: `${role === "random" ? "diamond" : "circle"}-open`, size: 10, color: color(role), line: { width: 1.5 } } }),
      trace(`${name}: finetuned, measured`, networks, measuredCost, (network) => network.top1, { marker: { symbol, size, color: color(role) } }),
    );
  }
  all.push(trace("reference", withRole("reference"), predictedCost, (network) => network.top1, { marker: { symbol: "square", size: 9, color: color("text") } }));
  const rings = numbered.filter((network) => pinned.includes(network.number));
  all.push(trace("", rings, predictedCost, (network) => network.predicted ?? network.top1,
    { showlegend: false, hoverinfo: "skip", marker: { symbol: "circle-open", size: 18, color: color("accent"), line: { width: 2 } } }));
  return all;
}

function layout(cost) {
  const axis = { gridcolor: color("rule"), linecolor: color("rule"), zeroline: false, automargin: true };
  return {
    xaxis: { ...axis, title: { text: `${cost.title} [${cost.unit}]`, standoff: 10 } },
    yaxis: { ...axis, title: { text: "top-1 on the test images [%]", standoff: 6 } },
    font: { family: "system-ui, sans-serif", size: 13, color: color("text") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", hoverdistance: 30, // a touch scrolls the page, a mouse zooms
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
