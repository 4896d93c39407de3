// The lines from a network's bridge to its containers: the more passes, the thicker.

// thickness is in pixels, for bytes a second: by the logarithm, as 10 kB/s and 1 GB/s are
// to be told apart on one page.
function thickness(rate) {
  return rate > 0 ? Math.min(12, Math.round(2 * (1.6 + 1.15 * Math.log10(1 + rate / 100))) / 2) : 1;
}

// wireHeight is where a line leaves the bridge, from the top of its row.
const wireHeight = 18;

function newWire() {
  const bridge = svg("line", { class: "bridge", x1: 8, x2: 8, y1: 0, y2: "100%" });
  const branch = svg("line", { class: "branch", x1: 8, x2: 32, y1: wireHeight, y2: wireHeight });
  const picture = svg("svg", { class: "wire", "aria-hidden": "true" });
  picture.append(branch, bridge);
  return { picture, bridge, branch };
}

// setWire draws what passes a place, and all that passes its network. The first line begins
// at the head of the box, the last ends at its branch.
function setWire(wire, own, all, first, last) {
  const set = (line, rate) => {
    const width = String(thickness(rate));
    if (line.getAttribute("stroke-width") === width) return;
    line.setAttribute("stroke-width", width);
    line.classList.toggle("live", rate > 0);
  };
  set(wire.branch, own);
  set(wire.bridge, all);
  const ends = { y1: first ? "-4" : "0", y2: last ? String(wireHeight + thickness(own) / 2) : "100%" };
  for (const [name, value] of Object.entries(ends)) if (wire.bridge.getAttribute(name) !== value) wire.bridge.setAttribute(name, value);
}

// level is one of five, for squares that have no thickness.
function level(rate) {
  return rate > 0 ? Math.min(4, 1 + Math.floor(Math.log10(1 + rate / 10000))) : 0;
}
