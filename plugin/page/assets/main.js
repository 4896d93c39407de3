// What is done with a line, and what begins.

function setState(state, text) {
  byID("state").dataset.state = state;
  say(byID("state").firstChild, text || state);
}

// lost says that what is shown is old.
function lost(why) {
  byID("notice").hidden = !why;
  say(byID("notice"), why);
  document.body.classList.toggle("stale", Boolean(why));
  if (why) setState("problem", "not connected");
}

function summary() {
  const s = model.status;
  const all = model.networks.reduce((sum, n) => sum + n.sent + n.received, 0);
  const ports = model.endpoints.reduce((sum, e) => sum + shown(e).length, 0);
  const parts = [plural(model.networks.length, "network"), plural(model.places.size, "container"), plural(ports, "published port")];
  if (all) parts.push(perSecond(all));
  say(byID("summary"), parts.join(" · "));
  setState(s.state, s.state);
  const causes = (s.causes || []).filter((c) => c.state !== "ok").map((c) => `${c.what}: ${c.why}; ${c.do}`);
  byID("state").title = printable(causes.join("; "));
  const why = [...causes, s.unguarded && `port filter: ${s.unguarded}`].filter(Boolean);
  byID("notice").hidden = why.length === 0;
  if (why.length) say(byID("notice"), why.join(" · "));
  say(byID("version"), `gangway ${s.version.version}, ${s.firewall}, ${plural(s.repairs, "repair")}`);
  document.body.classList.remove("stale");
}

function take(message) {
  byID("login").hidden = true;
  if (message.graph) takeGraph(message.graph);
  if (message.tick) {
    takeTick(message.tick);
    if (message.graph) redraw();
    else repaint();
    if (message.graph) showDetails();
    else showTraffic();
    summary();
  }
  if (message.events) takeEvents(message.events);
  if (message.packets) takePackets(message.packets);
  if (message.error) lost(`The daemon does not answer: ${message.error}`);
  else quiet();
}

takeSecret();
document.addEventListener("keydown", keydown);
byID("map").addEventListener("focusin", (event) => roving(event.target.closest("[role=treeitem]")));
byID("filter").addEventListener("input", applyFilter);
byID("login").addEventListener("submit", (event) => {
  event.preventDefault();
  secret = byID("token").value;
  sessionStorage.setItem(secretKey, secret);
  byID("token").value = "";
  byID("login").hidden = true;
  connect();
});
new ResizeObserver(() => model.status && redraw()).observe(document.body);
document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? connect() : disconnect()));
connect();
