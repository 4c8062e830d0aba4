"""Whether parts of a page move while it loads, as the browser counts it and as its parts tell."""

from playwright.sync_api import BrowserContext, Page

SLOW_LINK = {
    "offline": False,
    "latency": 20,
    "downloadThroughput": 60_000,
    "uploadThroughput": 60_000,
}
"""A link on which a browser draws half a page: ms, and bytes a second."""

SHIFTS = """
window.shift = 0;
window.shifted = [];
const place = each => [each.x, each.y, each.width, each.height].join(" ");
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) {
    window.shift += entry.value;
    for (const each of entry.sources)
      window.shifted.push(`${each.node?.outerHTML?.slice(0, 120) ?? each.node?.nodeName}: `
        + `${place(each.previousRect)} -> ${place(each.currentRect)}`);
  }
}).observe({type: "layout-shift", buffered: true});
"""
"""Sums up the layout shift of a page in `shift`, and notes in `shifted` what moved."""

MOVES = """() => {
  const SEEN = 3;
  const parts = [...document.body.querySelectorAll("*")].filter(
    each => each.tagName === "svg" || !each.closest("svg"));
  const place = part => {
    const at = part.getBoundingClientRect();
    const isSeen = at.width && at.height && at.top < innerHeight && part.checkVisibility();
    return isSeen && !part.closest(".hidden, .skip") ? at : null;
  };
  const hide = part => part.style.setProperty("display", "none", "important");
  const last = parts.findLastIndex(place);
  parts.slice(last + 1).forEach(hide);
  const whole = parts.map(place);
  const found = [];
  for (let end = last; end > 0; end--) {
    hide(parts[end]);
    if (!whole[end]) continue;
    for (let each = 0; each < end; each++) {
      const now = place(parts[each]);
      if (!now || !whole[each]) continue;
      if (Math.hypot(now.left - whole[each].left, now.top - whole[each].top) < SEEN) continue;
      found.push(`${parts[each].outerHTML.slice(0, 80)} moves from ${now.left},${now.top} to `
        + `${whole[each].left},${whole[each].top} after ${parts[end].outerHTML.slice(0, 80)}`);
    }
  }
  return found;
}"""


def slow_down(context: BrowserContext, page: Page) -> None:
    """Gives a browser's page a slow link, and has layout shifts counted in what it opens."""
    context.add_init_script(SHIFTS)
    link = context.new_cdp_session(page)
    link.send("Network.enable")
    link.send("Network.emulateNetworkConditions", SLOW_LINK)


def moves(page: Page) -> list[str]:
    """What would move in sight if the page stopped loading at any of its elements and went on.

    The page is the same as after each part of it that a network may deliver: what comes later is
    taken away, one element after another. A browser counts moves of 3 CSS pixels and more. The
    page is left without its parts.
    """
    found: list[str] = page.evaluate(MOVES)
    return found
