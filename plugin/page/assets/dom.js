// What makes elements. Text is set as text; there is no other way here.

const byID = (id) => document.getElementById(id);

// unfit is what a name may hold and nobody should see: control characters, marks of
// direction, formats. Letters, marks, numbers, punctuation, symbols and the space stay, as in
// Go's unicode.IsPrint.
const unfit = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

// printable writes what is unfit as Go does in a string.
function printable(text) {
  return String(text).replace(unfit, (c) => {
    const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[c];
    if (named) return named;
    const code = c.codePointAt(0);
    const hex = (digits) => code.toString(16).padStart(digits, "0");
    if (code < 0x80) return "\\x" + hex(2);
    return code > 0xffff ? "\\U" + hex(8) : "\\u" + hex(4);
  });
}

// fill sets the attributes and children of an element. Children are elements, texts, or
// nothing; null and false stand for nothing.
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === null || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : printable(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : printable(child));
  }
  return element;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, []);

// named is a name: cut where there is no room, and whole where a pointer rests.
const named = (text, attributes) => el("span", { ...attributes, title: text }, el("bdi", null, text));

// say sets a text, if it is another one.
function say(element, text) {
  const fit = printable(text);
  if (element.textContent !== fit) element.textContent = fit;
}
