// What is known of the one thing that is chosen.

let selected = null;
// returnTo is where the keyboard goes when details are closed.
let returnTo = null;

function select(what, keyboard) {
  if (keyboard) returnTo = document.activeElement;
  selected = what;
  showDetails();
  if (keyboard && selected) byID("details").querySelector("h2").focus();
}

function unselect() {
  if (!selected) return false;
  const inside = byID("details").contains(document.activeElement);
  selected = null;
  showDetails();
  if (inside && returnTo?.isConnected) returnTo.focus();
  return true;
}

function markSelected() {
  const key = selected && selected.kind !== "network" ? endpointByID(selected.id)?.key : null;
  for (const card of cards.values()) {
    card.element.classList.toggle("selected", selected?.kind === "network" && selected.id === card.id);
    for (const row of card.rows.values()) {
      row.element.classList.toggle("selected", selected?.kind !== "network" && selected?.id === row.id);
      row.element.classList.toggle("twin", Boolean(key) && selected.id !== row.id && endpointByID(row.id)?.key === key);
    }
  }
}

// showDetails draws the panel anew; what has gone closes it.
function showDetails() {
  const panel = byID("details");
  const of = selected && (selected.kind === "network" ? networkByID(selected.id) : endpointByID(selected.id));
  const port = of && selected.kind === "port" ? of.runs.find((p) => runOf(p) === selected.run) : null;
  if (!of || (selected.kind === "port" && !port)) selected = null;
  panel.hidden = !selected;
  markSelected();
  if (!selected) return;
  const parts = selected.kind === "network" ? networkDetails(of) : port ? portDetails(of, port) : containerDetails(of);
  const focused = panel.contains(document.activeElement);
  panel.replaceChildren(...parts.filter(Boolean));
  panel.prepend(el("button", { class: "close", title: "Close (Esc)", "aria-label": "Close", onclick: unselect }, "×"));
  if (focused) panel.querySelector("h2").focus();
  showTraffic();
  if (byID("decisions")) showDecisions(of);
  if (selected.kind !== "network") showWays(of, port);
}

const heading = (kind, title) => [el("p", { class: "over" }, kind), el("h2", { id: "details-title", tabindex: -1 }, el("bdi", null, title))];

// facts is a list of words and values; what has no value is left out.
function facts(rows) {
  const list = el("dl");
  for (const [word, ...values] of rows) {
    const all = values.flat().filter((v) => v !== null && v !== undefined && v !== "");
    if (all.length) list.append(el("dt", null, word), el("dd", null, all.map((v) => (v instanceof Node ? v : el("div", null, v)))));
  }
  return list;
}

const link = (text, what) => el("button", { class: "link", onclick: () => select(what) }, el("bdi", null, text));
const section = (title, ...children) => el("section", null, el("h3", null, title), ...children);
const trafficRow = () => ["Traffic", el("div", { id: "traffic" }), el("div", { id: "refusals" })];

// showTraffic is told with each tick.
function showTraffic() {
  const of = selected && (selected.kind === "network" ? networkByID(selected.id) : endpointByID(selected.id));
  if (!of || !byID("traffic")) return;
  say(byID("traffic"), `${perSecond(of.sent || 0)} sent, ${perSecond(of.received || 0)} received`);
  const refused = Object.entries(of.refused || {}).map(([reason, n]) => `${n} ${reason}`).join(", ");
  say(byID("refusals"), refused ? `refused: ${refused}` : "nothing refused");
}

// commands are what a terminal says more. Ids have no characters that a shell acts on.
const commands = (...lines) => section("In a terminal", el("pre", null, lines.join("\n").split("\n").map((l) => el("code", null, l))));

function networkDetails(n) {
  const id = short(n.id);
  return [
    ...heading("Network", n.title),
    facts([
      ["Id", id], ["Bridge", n.bridge + (n.adopted ? " (adopted)" : "")], ["Mode", kinds(n).join(", ")],
      ["Subnets", n.subnets || []], ["Gateways", n.gateways || []], ["MTU", n.mtu ? String(n.mtu) : ""],
      ["Policy", policyLines(n.policy)],
      ["Port filter", n.guarded ? "on: containers use their own addresses only" : "off"],
      trafficRow(),
      ["Options", Object.entries(n.options || {}).map(([k, v]) => `${k}=${v}`)],
    ]),
    n.places.length > 0 && section(plural(n.places.length, "container"), el("ul", { class: "links" }, n.places.map((e) =>
      el("li", null, link(e.title, { kind: "container", id: e.id }), el("span", { class: "mono" }, e.addresses.map(plain).join(" ")))))),
    decisionsSection(n),
    commands(`gangway networks ${id}`, `gangway drops -f --network ${id}`, ...(n.policy ? [`gangway decisions --network ${id}`] : [])),
  ];
}

function portLinks(e) {
  return el("ul", { class: "links" }, shown(e).map(({ run, text }) =>
    el("li", { class: "mono" }, link(`${hostPort(text)} → ${inside(text)}/${text.protocol}`, { kind: "port", id: e.id, run: runOf(run) }))));
}

function containerDetails(e) {
  const others = model.places.get(e.key).filter((o) => o.id !== e.id);
  const id = short(e.container || e.id);
  return [
    ...heading("Container", e.title),
    facts([
      ["Id", id], ["Network", link(e.of.title, { kind: "network", id: e.of.id })],
      ["Addresses", e.addresses], ["MAC", e.mac], ["Interface", e.hostInterface && `${e.containerInterface || "?"} in the container, ${e.hostInterface} on the host`],
      ["Policy", policyRows(e)],
      ["Joined", e.sandbox ? "" : "not in a container yet"],
      trafficRow(),
      ["Also on", others.map((o) => el("div", null, link(o.of.title, { kind: "container", id: o.id }), ` ${o.addresses.map(plain).join(" ")}`))],
    ]),
    e.runs.length > 0 && section("Published ports", portLinks(e)),
    decisionsSection(e),
    section("What the desired state says", el("div", { id: "ways" })),
    commands(`gangway doctor ${id}`, ...(e.policy ? [`gangway decisions ${id}`] : []), `gangway trace host ${id}:${e.runs[0]?.containerFirst || 80} --probe`, `gangway drops -f ${id}`, `gangway capture ${id} | tcpdump -nr -`),
  ];
}

function portDetails(e, p) {
  const how = {
    nat: "by the kernel (nat)", relay: "by the daemon (relay): the container sees the host as the client",
    "nat+relay": "by the kernel (nat); for [::1] and link-local clients by the daemon (relay)",
    prefix: "by the kernel, at the container's address behind the host's prefix (gangway.ipv6=prefix)",
  };
  return [
    ...heading("Published port", `${hostPort(p)}/${p.protocol}`),
    facts([
      ["Container", link(e.title, { kind: "container", id: e.id })], ["Network", link(e.of.title, { kind: "network", id: e.of.id })],
      ["Who may ask", (p.ingress || []).join(", ")],
      ["Leads to", `${bracketed(p.containerIP)}:${inside(p)}`], ["Way", how[p.path] || p.path],
      trafficRow(),
    ]),
    section("What the desired state says", el("div", { id: "ways" })),
    commands(`gangway doctor ${p.first}/${p.protocol}`, `gangway trace 198.51.100.1 ${p.hostIP === "0.0.0.0" || p.hostIP === "::" ? "HOST" : bracketed(p.hostIP)}:${p.first}/${p.protocol}`),
  ];
}

// policyRows are what a container's policy says, and whose it is.
function policyRows(e) {
  if (samePolicy(e.policy, e.of.policy)) return e.policy ? [`that of network ${e.of.title}`, ...policyLines(e.policy)] : [];
  return e.policy ? ["its own", ...policyLines(e.policy)] : ["its own: open"];
}

const decisionsSection = (of) => of.policy && section("What the policy has decided", el("div", { id: "decisions" }));

// mostDecisions is how many entries are shown: what is behind, a terminal lists.
const mostDecisions = 40;

// showDecisions asks how many packets each entry of the policy let pass, or refused.
async function showDecisions(of) {
  const at = byID("decisions");
  try {
    const all = await ask(`decisions?${new URLSearchParams({ of: of.id })}`);
    const one = all.find((d) => (d.endpoint || d.network) === of.id) || all[0];
    const entries = one?.entries || [];
    const rows = entries.slice(0, mostDecisions).map((u) => el("tr", null,
      el("td", null, el("bdi", null, u.value ? `${u.option}=${u.value}` : u.option)),
      el("td", { class: `verdict ${u.passes ? "accepted" : "dropped"}` }, u.passes ? "passed" : one.audited ? "audited" : "refused"),
      el("td", { class: "mono" }, amount(u.packets, "").trim())));
    const more = [];
    if (entries.length > rows.length) more.push(`${entries.length - rows.length} more`);
    if (one?.sharers) more.push(`counted together with ${one.sharers} others that have the same policy`);
    at.replaceChildren(el("table", { class: "decisions" }, el("tbody", null, rows)), ...more.map((m) => el("p", { class: "none" }, m)));
  } catch (error) {
    at.replaceChildren(el("p", null, error.message));
  }
}

// showWays asks who reaches what is chosen, and whom it reaches.
async function showWays(e, port) {
  const at = byID("ways");
  const query = new URLSearchParams({ endpoint: e.id });
  if (port) query.set("run", runOf(port));
  try {
    const ways = await ask(`ways?${query}`);
    at.replaceChildren(...ways.map((w) => el("details", { class: "way" },
      el("summary", null, el("span", { class: `verdict ${w.verdict}` }, { accepted: "open", dropped: "closed" }[w.verdict] || "depends"), named(w.title)),
      el("ol", null, w.steps.map((s) => el("li", null, s))))));
  } catch (error) {
    at.replaceChildren(el("p", null, error.message));
  }
}
