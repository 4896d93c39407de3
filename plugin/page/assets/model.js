// What the daemon has said, by id.

const model = { networks: [], endpoints: [], ports: new Map(), places: new Map(), status: null };

// takeGraph takes a new picture. What has passed is told by the next tick, which comes with
// it.
function takeGraph(graph) {
  model.networks = graph.networks;
  model.endpoints = graph.endpoints;
  model.ports = new Map();
  model.places = new Map();
  const networks = new Map();
  for (const n of graph.networks) {
    n.places = [];
    n.title = n.name || short(n.id);
    networks.set(n.id, n);
  }
  for (const e of graph.endpoints) {
    e.of = networks.get(e.network);
    e.addresses = e.addresses || [];
    e.key = e.container || e.sandbox || e.id;
    e.title = e.containerName || short(e.container || e.id);
    e.runs = [];
    if (e.of) e.of.places.push(e);
    if (!model.places.has(e.key)) model.places.set(e.key, []);
    model.places.get(e.key).push(e);
    model.ports.set(e.id, e.runs);
  }
  for (const p of graph.ports) model.ports.get(p.endpoint)?.push(p);
}

// takeTick takes what has passed since the last one, and what was refused since the start.
function takeTick(tick) {
  model.status = tick.status;
  for (const n of model.networks) n.refused = {};
  for (const e of model.endpoints) Object.assign(e, { sent: 0, received: 0, refused: {} });
  for (const [i, sent, received] of tick.rates) Object.assign(model.endpoints[i], { sent, received });
  for (const [i, refused] of Object.entries(tick.networks || {})) model.networks[i].refused = refused;
  for (const [i, refused] of Object.entries(tick.endpoints || {})) model.endpoints[i].refused = refused;
  for (const n of model.networks) {
    n.sent = n.places.reduce((sum, e) => sum + e.sent, 0);
    n.received = n.places.reduce((sum, e) => sum + e.received, 0);
  }
}

const networkByID = (id) => model.networks.find((n) => n.id === id);
const endpointByID = (id) => model.endpoints.find((e) => e.id === id);

// shown are the ports of a place as they are listed: a port on all addresses of both
// families is one, with a star.
function shown(endpoint) {
  const any = (p, ip) => endpoint.runs.find((q) => q.hostIP === ip && q.first === p.first && q.last === p.last && q.protocol === p.protocol && q.containerFirst === p.containerFirst);
  const list = [];
  for (const p of endpoint.runs) {
    if (p.hostIP === "::" && any(p, "0.0.0.0")) continue;
    list.push({ run: p, text: { ...p, hostIP: p.hostIP === "0.0.0.0" && any(p, "::") ? "*" : p.hostIP } });
  }
  return list;
}

// matches says whether a network, or a place on it, has all words of the filter.
const filter = { words: [] };
function haystack(...parts) {
  return parts.flat().filter(Boolean).join("\n").toLowerCase();
}
function networkText(n) {
  return haystack(n.name, n.id, n.bridge, n.subnets, kinds(n));
}
function placeText(e) {
  return haystack(networkText(e.of), e.containerName, e.container, e.id, e.addresses, e.mac, e.runs.map((p) => `${hostPort(p)}/${p.protocol} ${inside(p)}`));
}
const has = (text) => filter.words.every((w) => text.includes(w));
