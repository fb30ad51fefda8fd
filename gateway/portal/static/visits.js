// The list of visits stays true while it is looked at: when it has changed, it is loaded again.
"use strict";

(() => {
  const EVERY_MS = 4000;
  const told = document.getElementById("changed");
  let before = null;

  const look = async () => {
    if (document.hidden) { return; } // a page in the background asks for nothing
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (answer.redirected) { location.reload(); } // signed out: the page says so
    if (!answer.ok) { return; }
    const now = await answer.text();
    const changed = before !== null && now !== before;
    before = now;
    if (!changed) { return; }
    // Nothing is pulled away from under somebody's finger or reader.
    if (document.getElementById("main").contains(document.activeElement)) {
      told.hidden = false;
    } else {
      location.reload();
    }
  };
  const again = () => look().catch(() => { /* it is asked again anyway */ }).finally(() => setTimeout(again, EVERY_MS));
  again();
})();
