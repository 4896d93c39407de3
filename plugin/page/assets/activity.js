// Drops and repairs, the newest first.

const most = 200;
// entries are by key, so that what is told again after a lost connection is not there twice.
const entries = new Map();

const tones = { repair: "warn", lost: "warn", flapping: "bad", problem: "bad", dropped: "bad", settled: "good", solved: "good" };

function takeEvents(events) {
  for (const e of events) {
    note(`event ${e.number}`, {
      time: e.time, tag: e.kind === "dropped" ? "refused" : e.kind, tone: tones[e.kind] || "", text: e.text,
      target: placeOf(e.network, (o) => o.container && o.container === e.container) || (e.network && { kind: "network", id: e.network }),
    });
  }
}

// takePackets puts those together that differ in nothing but their source's port.
function takePackets(packets) {
  for (const p of packets) {
    const by = p.by ? byPolicy(p) : "";
    const key = `packet ${[p.reason, by, p.protocol, p.from.address, p.from.endpoint, p.to.address, p.to.port, p.to.endpoint].join(" ")}`;
    const before = entries.get(key);
    if (before && (before.time === p.time || Date.parse(p.time) < Date.parse(before.time))) continue; // told before
    const id = p.to.endpoint || p.from.endpoint;
    note(key, {
      time: p.time, tag: p.reason, tone: "bad", count: (before?.count || 0) + 1, text: `${party(p.from, !p.to.port)} → ${party(p.to, true)}${p.protocol ? ` ${p.protocol}` : ""}${by ? ` · ${by}` : ""}`,
      target: id ? { kind: "container", id } : null,
    });
    if (p.lost) note("lost", { time: p.time, tag: "refused", tone: "bad", text: `${plural((entries.get("lost")?.lost || 0) + p.lost, "more packet")}: they came too fast`, lost: (entries.get("lost")?.lost || 0) + p.lost });
  }
}

// byPolicy is the entry that has refused a packet, and whose it is.
function byPolicy(p) {
  const at = p.by.option === "gangway.ingress" ? p.to : p.from;
  const of = p.by.own ? `container ${at.containerName || short(at.container || at.endpoint)}` : `network ${at.networkName || short(at.network)}`;
  return `${p.by.value ? `${p.by.option}=${p.by.value}` : p.by.option} of ${of}`;
}

function party(p, withPort) {
  const address = p.address ? (withPort && p.port ? `${bracketed(p.address)}:${p.port}` : p.address) : p.interface || "unknown";
  const name = p.containerName || short(p.endpoint) || p.networkName;
  return name ? `${name} (${address})` : address;
}

function placeOf(network, is) {
  const e = model.endpoints.find((o) => (!network || o.network === network) && is(o));
  return e && { kind: "container", id: e.id };
}

function note(key, entry) {
  entries.get(key)?.element?.remove();
  entries.delete(key);
  entries.set(key, entry);
  entry.element = drawEntry(entry);
  const log = byID("log");
  log.querySelector(".none")?.remove();
  const at = Date.parse(entry.time);
  const after = [...log.children].find((c) => Number(c.dataset.time) <= at);
  log.insertBefore(entry.element, after || null);
  if (entries.size > most) {
    const [oldest, { element }] = entries.entries().next().value;
    element.remove();
    entries.delete(oldest);
  }
}

function drawEntry(entry) {
  const content = [
    el("time", { datetime: entry.time, title: new Date(entry.time).toLocaleString() }, clock(entry.time)),
    el("span", { class: `tag ${entry.tone}` }, entry.tag),
    entry.count > 1 && el("span", { class: "times" }, `×${entry.count}`),
    el("span", { class: "text" }, entry.text),
  ];
  const body = entry.target ? el("button", { class: "entry", onclick: () => select(entry.target) }, content) : el("div", { class: "entry" }, content);
  return el("li", { "data-time": Date.parse(entry.time) }, body);
}

function quiet() {
  if (entries.size === 0 && !byID("log").children.length) {
    byID("log").append(el("li", { class: "none" }, "Nothing was refused or repaired."));
  }
}
