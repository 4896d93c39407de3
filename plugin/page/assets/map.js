// Networks as boxes, with their containers.

// many is with how many places networks are closed, until they are opened.
const many = 80;
const cardWidth = 380;
const cards = new Map();
// listed are the boxes that are shown, in their order.
let listed = [];

const isOpen = (card) => card.choice ?? (filter.words.length > 0 || model.endpoints.length <= many);

function newCard(id) {
  const card = { id, rows: new Map(), choice: null };
  card.chevron = el("span", { class: "chevron", "aria-hidden": "true" });
  card.name = named("", { class: "name" });
  card.kinds = el("span", { class: "kinds" });
  card.rate = el("span", { class: "rate" });
  card.subnets = el("span", { class: "mono" });
  card.counts = el("span", { class: "counts" });
  card.refused = el("span", { class: "refused", hidden: true });
  card.head = el("div", { class: "head", onclick: () => select({ kind: "network", id }) },
    el("div", { class: "line" }, card.chevron, card.name, card.kinds, card.refused, card.rate),
    el("div", { class: "line" }, card.subnets, card.counts));
  card.chevron.addEventListener("click", (event) => {
    event.stopPropagation();
    toggle(card);
  });
  card.body = el("div", { class: "rows", role: "group" });
  card.strip = el("div", { class: "strip", "aria-hidden": "true" });
  card.element = el("div", { class: "card", role: "treeitem", tabindex: -1, "aria-level": 1, "data-network": id }, card.head, card.strip, card.body);
  return card;
}

function newRow(id) {
  const row = { id, wire: newWire() };
  row.name = named("", { class: "name" });
  row.policy = el("span", { class: "kind", hidden: true });
  row.refused = el("span", { class: "refused", hidden: true });
  row.rate = el("span", { class: "rate" });
  row.addresses = el("span", { class: "addresses mono" });
  row.ports = el("div", { class: "ports mono" });
  row.box = el("div", { class: "box", onclick: () => select({ kind: "container", id }) },
    el("div", { class: "line" }, row.name, row.policy, row.refused), row.rate, row.addresses, row.ports);
  row.element = el("div", { class: "row", role: "treeitem", tabindex: -1, "aria-level": 2, "data-endpoint": id }, row.wire.picture, row.box);
  return row;
}

function setRefused(element, refused) {
  const n = total(refused);
  element.hidden = n === 0;
  if (n > 0) say(element, `${amount(n, "").trim()} refused`);
}

// setName shows a name that may have changed.
function setName(element, text) {
  say(element.firstChild, text);
  if (element.title !== printable(text)) element.title = printable(text);
}

// redraw brings the boxes up to date with the model: after a new picture, or a word in the
// filter.
function redraw() {
  const seen = new Set();
  listed = [];
  for (const n of model.networks) {
    seen.add(n.id);
    if (!cards.has(n.id)) cards.set(n.id, newCard(n.id));
    const card = cards.get(n.id);
    const own = has(networkText(n));
    card.places = n.places.filter((e) => own || has(placeText(e)));
    if (!own && card.places.length === 0) continue;
    redrawCard(card, n);
    listed.push(card);
  }
  for (const id of cards.keys()) if (!seen.has(id)) cards.delete(id);
  arrange();
  emptiness(listed.length);
}

// arrange puts the boxes where they belong. An element that is moved loses the focus.
function arrange() {
  const active = document.activeElement;
  place(listed);
  if (active !== document.activeElement && active.isConnected) active.focus({ preventScroll: true });
  repaint();
  roving();
}

function redrawCard(card, n) {
  const open = isOpen(card);
  setName(card.name, n.title);
  card.kinds.replaceChildren(...kinds(n).map((k) => el("span", { class: "kind" }, k)));
  say(card.subnets, (n.subnets || []).join("  "));
  const published = n.places.reduce((sum, e) => sum + shown(e).length, 0);
  say(card.counts, plural(n.places.length, "container") + (published ? ` · ${plural(published, "port")}` : ""));
  fill(card.element, { "aria-expanded": String(open), "aria-label": `network ${n.title}` }, []);
  card.element.classList.toggle("open", open);
  const rows = open ? card.places : [];
  const keep = new Set(rows.map((e) => e.id));
  for (const [id, row] of card.rows) {
    if (!keep.has(id)) {
      row.element.remove();
      card.rows.delete(id);
    }
  }
  rows.forEach((e, i) => {
    if (!card.rows.has(e.id)) card.rows.set(e.id, newRow(e.id));
    const row = card.rows.get(e.id);
    redrawRow(row, e);
    if (card.body.children[i] !== row.element) card.body.insertBefore(row.element, card.body.children[i] || null);
  });
  const squares = open ? [] : card.places;
  while (card.strip.children.length > squares.length) card.strip.lastChild.remove();
  while (card.strip.children.length < squares.length) card.strip.append(el("i"));
}

function redrawRow(row, e) {
  setName(row.name, e.title);
  row.element.setAttribute("aria-label", printable(`container ${e.title}`));
  row.policy.hidden = samePolicy(e.policy, e.of.policy);
  if (!row.policy.hidden) say(row.policy, e.policy ? `own ${policyMark(e.policy)}` : "own policy: open");
  const text = JSON.stringify([e.addresses, e.runs]);
  if (row.text === text) return;
  row.text = text;
  row.addresses.replaceChildren(...e.addresses.map((a) => el("span", null, plain(a))));
  row.ports.replaceChildren(...shown(e).map(({ run, text: t }) => el("span", {
    class: "port", title: `${hostPort(t)} of the host leads to port ${inside(t)}/${t.protocol} of the container, by ${run.path}`,
    onclick: (event) => {
      event.stopPropagation();
      select({ kind: "port", id: e.id, run: runOf(run) });
    },
  }, `${hostPort(t)} → ${inside(t)}/${t.protocol}`, run.path === "relay" && el("span", { class: "kind" }, "relay"))));
}

// repaint draws what changes all the time.
function repaint() {
  for (const n of model.networks) {
    const card = cards.get(n.id);
    if (!card?.element.isConnected) continue;
    const all = n.sent + n.received;
    say(card.rate, all ? perSecond(all) : "");
    setRefused(card.refused, n.refused);
    card.places.forEach((e, i) => {
      const own = e.sent + e.received;
      const row = card.rows.get(e.id);
      if (row) {
        setWire(row.wire, own, all, i === 0, i === card.places.length - 1);
        say(row.rate, own ? perSecond(own) : "");
        setRefused(row.refused, e.refused);
      } else if (card.strip.children[i]) {
        card.strip.children[i].className = `level${level(own)}${total(e.refused) ? " bad" : ""}`;
      }
    });
  }
  markSelected();
}

// height is about how tall a box is, in lines.
function height(card) {
  if (!isOpen(card)) return 5;
  return card.places.reduce((sum, e) => sum + 2.6 + Math.max(0, e.addresses.length - 1, shown(e).length) * 1.2, 4);
}

// place puts boxes into columns, each into the shortest. A grid would leave holes below
// short ones.
function place(list) {
  const map = byID("map");
  map.querySelector(".empty")?.remove();
  const columns = Math.max(1, Math.min(list.length, Math.floor((map.clientWidth + 16) / (cardWidth + 16))));
  while (map.children.length > columns) map.lastChild.remove();
  while (map.children.length < columns) map.append(el("div", { class: "column", role: "presentation" }));
  const heights = Array(columns).fill(0);
  const into = Array.from({ length: columns }, () => []);
  for (const card of list) {
    const at = heights.indexOf(Math.min(...heights));
    heights[at] += height(card) + 1.5;
    into[at].push(card.element);
  }
  into.forEach((elements, i) => {
    const column = map.children[i];
    if (elements.length !== column.children.length || elements.some((e, j) => column.children[j] !== e)) column.replaceChildren(...elements);
  });
}

function toggle(card, open = !isOpen(card)) {
  card.choice = open;
  redrawCard(card, networkByID(card.id));
  arrange();
}

function emptiness(count) {
  if (count > 0 || !model.status) return;
  const text = model.networks.length ? "Nothing here has these words." : "There are no networks yet: docker network create -d gangway:latest front";
  byID("map").replaceChildren(el("p", { class: "empty" }, text));
}
