// Architecture drawings: a box for each layer. Its height shows the channels, its color and number the kernel.
const KERNELS = { 1: "k1", 3: "k3", 5: "k5", 7: "k7" };
const NARROW = 22, WIDE = 62, GAP = 5, BETWEEN = 14, MIDDLE = 62, TALLEST = 44;

function element(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "line", "text", "title"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function stageBoxes(network, stage) {
  return report.blocks[report.stages[stage] + " " + network.labels[stage]] || [];
}

// The largest number of hidden channels on the page sets the scale, so that its drawings can be compared.
const maxChannels = Math.max(1, ...Object.values(report.blocks).flat().map((box) => (box.channels || 1) * (box.expand || 1)));
const height = (channels) => Math.max(9, 2 * TALLEST * Math.sqrt((channels || 1) / maxChannels));

function describeBox(box) {
  const words = [box.kernel ? `${box.kernel}x${box.kernel}` : box.kind.replace("_", " ")];
  if (box.channels) words.push(`${box.channels} channels`);
  if (box.expand) words.push(`expansion ${Number(box.expand.toPrecision(3))}`);
  if (box.stride > 1) words.push(`stride ${box.stride}`);
  for (const [key, word] of [["grouped", "grouped"], ["se", "squeeze-and-excite"], ["swish", "swish"], ["int8", "8 bit"]]) {
    if (box[key]) words.push(word);
  }
  return words.concat(box.label || []).join(", ");
}

function wrapText(words) {
  const lines = [""];
  for (const word of words.split(" ")) {
    const line = `${lines.at(-1)} ${word}`.trim();
    if (line.length <= 11 || !lines.at(-1)) lines[lines.length - 1] = line.slice(0, 11);
    else lines.push(word.slice(0, 11));
  }
  return lines.slice(0, 4);
}

function drawBox(box, x) {
  const wide = !box.kernel, width = wide ? WIDE : NARROW;
  const tall = wide ? 2 * TALLEST * 0.6 : height(box.channels), top = MIDDLE - tall / 2;
  const group = element("g", { class: `box ${wide ? "other" : KERNELS[box.kernel] || "kx"}` }, element("title", {}, describeBox(box)));
  if (!wide && box.expand > 1) {
    const hidden = height(box.channels * box.expand);
    group.append(element("rect", { class: "hidden", x: x + 3, y: MIDDLE - hidden / 2, width: width - 6, height: hidden, rx: 2 }));
  }
  group.append(element("rect", { class: "body", x, y: top, width, height: tall, rx: 3 }));
  const lines = wide ? wrapText(box.label || box.kind.replace("_", " ")) : [String(box.kernel)];
  lines.forEach((line, row) => {
    const y = MIDDLE + 4 + 11 * (row - (lines.length - 1) / 2);
    group.append(element("text", { class: wide ? "name" : "kernel", x: x + width / 2, y }, line));
  });
  if (box.grouped) group.append(element("line", { class: "grouped", x1: x, x2: x + width, y1: MIDDLE + tall / 2 + 3, y2: MIDDLE + tall / 2 + 3 }));
  [[box.se, "SE"], [box.swish, "Sw"], [box.int8, "8b"]].filter(([on]) => on).forEach(([, word], row) => {
    group.append(element("text", { class: "mark", x: x + width / 2, y: MIDDLE + TALLEST + 14 + 9 * row }, word));
  });
  return [group, width];
}

function drawNetwork(network, differing = []) {
  let x = 2;
  const drawing = element("svg", { role: "img", class: "drawing", "aria-label": network.labels.join(", ") });
  network.labels.forEach((label, number) => {
    const stage = element("g", { class: differing.includes(number) ? "stage differs" : "stage" }), start = x;
    stageBoxes(network, number).forEach((box) => {
      const [group, width] = drawBox(box, x);
      stage.append(group);
      x += width + GAP;
    });
    x = Math.max(x, start + NARROW);
    stage.prepend(element("rect", { class: "stage-background", x: start - 5, y: 10, width: x - start + 5, height: MIDDLE + TALLEST + 18, rx: 5 }));
    stage.append(element("text", { class: "stage-name", x: (start + x - GAP) / 2, y: 7 }, String(number + 1)));
    drawing.append(stage);
    x += BETWEEN;
  });
  const width = x - BETWEEN + 8, tall = MIDDLE + TALLEST + 36;
  for (const [key, value] of [["viewBox", `-4 -3 ${width} ${tall}`], ["width", width], ["height", tall]]) drawing.setAttribute(key, value);
  drawing.style.minWidth = `${0.65 * width}px`; // it shrinks until the numbers would be too small, then scrolls
  return drawing;
}
