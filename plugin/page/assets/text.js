// Words for numbers and things.

const short = (id) => (id || "").slice(0, 12);
const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

// amount is a number of bytes, or of bytes a second, in three digits.
function amount(n, unit) {
  const units = ["", "k", "M", "G", "T", "P"];
  let i = 0;
  while (n >= 999.5 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${n >= 99.5 || i === 0 ? Math.round(n) : Number(n.toPrecision(2))} ${units[i]}${unit}`;
}
const perSecond = (n) => amount(n, "B/s");

// total is how many packets were refused, whatever the reason.
const total = (refused) => Object.values(refused || {}).reduce((sum, n) => sum + n, 0);

const bracketed = (address) => (address.includes(":") ? `[${address}]` : address);
const portRange = (first, last) => (first === last ? `${first}` : `${first}-${last}`);
const plain = (prefix) => prefix.split("/")[0];

// inside are the ports of the container that a run leads to.
const inside = (p) => portRange(p.containerFirst, p.containerFirst + p.last - p.first);
const hostPort = (p) => `${p.hostIP === "*" ? "*" : bracketed(p.hostIP)}:${portRange(p.first, p.last)}`;
const runOf = (p) => `${p.protocol},${p.hostIP},${p.first}`;

// kinds are what is special about a network, in a word each.
function kinds(n) {
  const words = [];
  if (n.internal) words.push("internal");
  else if (!n.modeIPv6 || n.modeIPv4 === n.modeIPv6) words.push(n.modeIPv4 || "no mode");
  else if (!n.modeIPv4) words.push(n.modeIPv6);
  else words.push(n.modeIPv4, `${n.modeIPv6} (IPv6)`);
  if (!n.icc) words.push("icc off");
  if (n.policy) words.push(policyMark(n.policy));
  return words;
}

// policyMark says that something has a policy, in a word.
const policyMark = (p) => (p.mode === "audit" ? "policy: audit" : "policy");
const samePolicy = (a, b) => JSON.stringify(a || {}) === JSON.stringify(b || {});

// policyLines are what a policy says, by option; a long list is cut.
function policyLines(p) {
  const options = { egress: "gangway.egress", allow: "gangway.egress.allow", deny: "gangway.egress.deny", host: "gangway.host", ingress: "gangway.ingress", mode: "gangway.mode" };
  const plainWords = { allow: "none", deny: "none", mode: "enforce" };
  const longest = 400;
  return Object.entries(options)
    .filter(([key]) => p?.[key] && p[key] !== plainWords[key])
    .map(([key, name]) => `${name}=${p[key].length > longest ? `${p[key].slice(0, longest)}…` : p[key]}`);
}

const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
