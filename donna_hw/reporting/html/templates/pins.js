// The network under the pointer, and the networks pinned for comparison.
const ROLES = {
  front: "predicted front", verified: "front, finetuned and measured", random: "random, finetuned and measured",
  library: "Architecture Library, finetuned", reference: "reference network, as trained",
};
const percent = (value) => `${value.toFixed(2)} %`;
const title = (network) => network.roles.map((role) => ROLES[role]).join(" · ");
const pinned = [];

function inUnit(value, name) {
  const cost = report.costs.find((candidate) => candidate.name === name);
  return `${Number((value / cost.size).toPrecision(4))} ${cost.unit}`;
}

function facts(network) {
  const rows = [];
  if (network.predicted !== null) {
    rows.push(["top-1 predicted", percent(network.predicted) + (network.std === null ? "" : ` ± ${network.std.toFixed(2)}`)]);
  }
  if (network.top1 !== null) rows.push(["top-1 tested", percent(network.top1)]);
  for (const cost of report.costs) {
    const [mean, std] = network.costs[cost.name];
    rows.push([cost.name, inUnit(mean, cost.name).replace(/ (?=\D+$)/, std ? ` ± ${Number((std / cost.size).toPrecision(2))} ` : " ")]);
  }
  if (network.measured !== null) rows.push([`${report.device}, measured`, inUnit(network.measured, report.device)]);
  return element("dl", {}, ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

// The parts of a label such as k5-e4-d2; those that differ between the pinned networks are marked.
function markedLabel(network, stage, others) {
  const parts = network.labels[stage].split("-");
  const code = element("code", {});
  parts.forEach((part, number) => {
    const differs = others.some((other) => other.labels[stage].split("-")[number] !== part);
    code.append(number ? "-" : "", differs ? element("mark", {}, part) : part);
  });
  return element("li", {}, element("span", { title: report.stages[stage] }, String(stage + 1)), code);
}

function card(network, others) {
  const stages = network.labels.map((_, stage) => stage);
  const differing = stages.filter((stage) => others.some((other) => other.labels[stage] !== network.labels[stage]));
  return [
    element("h4", {}, title(network)),
    element("div", { class: "scroll sight" }, drawNetwork(network, differing)),
    element("div", { class: "details" }, element("ol", { class: "labels" }, ...stages.map((stage) => markedLabel(network, stage, others))), facts(network)),
  ];
}

function show(number) {
  const panel = document.getElementById("panel");
  panel.replaceChildren(...card(report.networks[number], []));
  panel.dataset.network = number;
}

function pin(number) {
  if (pinned.includes(number)) pinned.splice(pinned.indexOf(number), 1);
  else pinned.push(number);
  const strip = document.getElementById("pinned"), networks = pinned.map((index) => report.networks[index]);
  strip.replaceChildren(...pinned.map((index) => {
    const remove = element("button", { type: "button", class: "remove", "aria-label": `Unpin ${report.networks[index].labels.join(", ")}` }, "×");
    remove.addEventListener("click", () => pin(index));
    return element("article", { "data-network": index }, remove, ...card(report.networks[index], networks));
  }));
  document.getElementById("compare").hidden = !pinned.length;
  document.querySelectorAll("button.pin").forEach((button) => {
    button.setAttribute("aria-pressed", pinned.includes(Number(button.dataset.network)));
  });
  document.dispatchEvent(new CustomEvent("pinned"));
}

document.querySelectorAll("button.pin").forEach((button) => {
  const number = Number(button.dataset.network);
  button.addEventListener("click", () => pin(number));
  button.addEventListener("focus", () => show(number));
  button.closest("tr").addEventListener("mouseenter", () => show(number));
});

const last = report.networks.findLastIndex((network) => network.roles.includes("front"));
if (last >= 0) show(last);
