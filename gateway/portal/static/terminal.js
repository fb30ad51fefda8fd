// The one Trusted Types policy of the pages with a terminal. The player makes its own controls and some characters
// (lines, blocks) from markup that stands in its file. Only elements and attributes that can do nothing pass here, in
// whatever place: what a terminal shows never becomes markup, and if it ever did, it would not pass as more than this.
"use strict";

(() => {
  const ELEMENTS = new Set(["button", "canvas", "circle", "defs", "div", "g", "kbd", "li", "line", "mask", "p", "path",
    "polygon", "polyline", "pre", "rect", "span", "svg", "ul"]);
  const ATTRIBUTES = new Set(["aria-hidden", "aria-label", "aria-live", "class", "clip-rule", "cx", "cy", "d", "fill",
    "fill-rule", "height", "id", "mask", "opacity", "points", "preserveAspectRatio", "r", "stroke", "stroke-linecap",
    "stroke-linejoin", "stroke-width", "tabindex", "transform", "type", "version", "viewBox", "width", "x", "x1", "x2",
    "xmlns", "y", "y1", "y2"]);
  // A value without quotes ends where a browser ends it: at white space or at the end of the tag.
  const TAG = /^<(\/?)([a-zA-Z]+)((?:\s*[a-zA-Z0-9-]+=(?:"[^"<>&]*"|[^\s"'<>=`&]+(?=\s|\/?>)))*)\s*\/?>/;
  const ATTRIBUTE = /([a-zA-Z0-9-]+)=(?:"[^"<>&]*"|[^\s"'<>=`&]+(?=\s|$))/g;

  const isInert = (markup) => {
    for (let rest = markup; rest !== "";) {
      if (rest[0] !== "<") { // text up to the next element
        const next = rest.indexOf("<");
        rest = next < 0 ? "" : rest.slice(next);
        continue;
      }
      const found = TAG.exec(rest);
      if (found === null || !ELEMENTS.has(found[2].toLowerCase())) { return false; }
      for (const one of found[3].matchAll(ATTRIBUTE)) { if (!ATTRIBUTES.has(one[1])) { return false; } }
      rest = rest.slice(found[0].length);
    }
    return true;
  };

  const createHTML = (markup) => {
    if (!isInert(markup)) { throw new TypeError("markup that is not inert"); }
    return markup;
  };
  if (window.trustedTypes) { trustedTypes.createPolicy("default", { createHTML }); }
})();
