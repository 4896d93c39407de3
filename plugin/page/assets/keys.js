// The keyboard, as trees have it (https://www.w3.org/WAI/ARIA/apg/patterns/treeview/).

// items are what the arrows go through, in the order in which they are read.
const items = () => [...byID("map").querySelectorAll("[role=treeitem]")];

// roving leaves one item for the Tab key: the one that was there last.
function roving(chosen) {
  const all = items();
  const now = chosen || all.find((i) => i.tabIndex === 0) || all[0];
  for (const i of all) i.tabIndex = i === now ? 0 : -1;
}

function go(item) {
  if (!item) return;
  roving(item);
  item.focus();
  item.scrollIntoView({ block: "nearest" });
}

function chosenBy(item) {
  return item.dataset.endpoint ? { kind: "container", id: item.dataset.endpoint } : { kind: "network", id: item.dataset.network };
}

function inTree(event, item) {
  const all = items();
  const at = all.indexOf(item);
  const card = cards.get(item.closest(".card").dataset.network);
  const isCard = item === card.element;
  switch (event.key) {
    case "ArrowDown": return go(all[at + 1]);
    case "ArrowUp": return go(all[at - 1]);
    case "Home": return go(all[0]);
    case "End": return go(all[all.length - 1]);
    case "ArrowRight":
      if (isCard && !isOpen(card)) return toggle(card, true);
      return isCard ? go(all[at + 1]) : undefined;
    case "ArrowLeft":
      if (!isCard) return go(card.element);
      return isOpen(card) ? toggle(card, false) : undefined;
    case " ": return isCard ? toggle(card) : select(chosenBy(item), true);
    case "Enter": return select(chosenBy(item), true);
    default: return true; // not ours
  }
}

function escape() {
  const box = byID("filter");
  if (document.activeElement === box) {
    box.value = "";
    applyFilter();
    go(items().find((i) => i.tabIndex === 0));
    return;
  }
  if (!unselect() && box.value) {
    box.value = "";
    applyFilter();
  }
}

function applyFilter() {
  filter.words = byID("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards.values()) card.choice = null;
  redraw();
}

function keydown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.closest("input");
  if (event.key === "Escape") {
    escape();
  } else if (event.key === "/" && !typing) {
    byID("filter").focus();
    byID("filter").select();
  } else if (typing === byID("filter") && (event.key === "ArrowDown" || event.key === "Enter")) {
    go(items()[0]);
  } else if (!typing && event.target.closest("[role=treeitem]")) {
    if (inTree(event, event.target.closest("[role=treeitem]")) === true) return;
  } else {
    return;
  }
  event.preventDefault();
}
