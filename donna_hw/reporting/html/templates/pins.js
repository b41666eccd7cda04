// What is pointed at, and what is pinned beside it to compare.
const ROLES = {
  front: "predicted front", verified: "front, finetuned and measured", random: "random, finetuned and measured",
  library: "Architecture Library, finetuned", reference: "reference network, as trained",
};
const percent = (value) => `${value.toFixed(2)} %`;
const title = (network) => network.roles.map((role) => ROLES[role]).join(" · ");
const pinned = [];

function inUnit(value, name) {
  const cost = report.costs.find((one) => one.name === name);
  return `${Number((value / cost.size).toPrecision(4))} ${cost.unit}`;
}

function facts(network) {
  const found = [];
  if (network.predicted !== null) {
    found.push(["top-1 predicted", percent(network.predicted) + (network.std === null ? "" : ` ± ${network.std.toFixed(2)}`)]);
  }
  if (network.top1 !== null) found.push(["top-1 tested", percent(network.top1)]);
  for (const cost of report.costs) {
    const [mean, std] = network.costs[cost.name];
    found.push([cost.name, inUnit(mean, cost.name).replace(/ (?=\D+$)/, std ? ` ± ${Number((std / cost.size).toPrecision(2))} ` : " ")]);
  }
  if (network.measured !== null) found.push([`${report.device}, measured`, inUnit(network.measured, report.device)]);
  return element("dl", {}, ...found.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

// A label's parts, such as k5-e4-d2: those that are not the same in all pinned networks are marked.
function labelled(network, place, others) {
  const parts = network.labels[place].split("-");
  const made = element("code", {});
  parts.forEach((part, number) => {
    const differs = others.some((other) => other.labels[place].split("-")[number] !== part);
    made.append(number ? "-" : "", differs ? element("mark", {}, part) : part);
  });
  return element("li", {}, element("span", { title: report.stages[place] }, String(place + 1)), made);
}

function card(network, others) {
  const places = network.labels.map((_, place) => place);
  const differing = places.filter((place) => others.some((other) => other.labels[place] !== network.labels[place]));
  return [
    element("h4", {}, title(network)),
    element("div", { class: "scroll sight" }, drawNetwork(network, differing)),
    element("div", { class: "told" }, element("ol", { class: "labels" }, ...places.map((place) => labelled(network, place, others))), facts(network)),
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
  const strip = document.getElementById("pinned"), networks = pinned.map((one) => report.networks[one]);
  strip.replaceChildren(...pinned.map((one) => {
    const remove = element("button", { type: "button", class: "remove", "aria-label": `Unpin ${report.networks[one].labels.join(", ")}` }, "×");
    remove.addEventListener("click", () => pin(one));
    return element("article", { "data-network": one }, remove, ...card(report.networks[one], networks));
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
