// A live terminal: what the server tells, shown by asciinema-player. Nothing goes the other way.
"use strict";

(() => {
  const told = document.getElementById("told");
  const place = document.getElementById("terminal");
  const done = document.getElementById("done");
  if (place === null || !window.AsciinemaPlayer) { return; }

  const list = (lines) => done.replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));

  // A driver of the player: it tells what comes, and can neither pause nor seek.
  const live = ({ dispatch }) => {
    let stream;
    const hear = (event) => {
      const message = JSON.parse(event.data);
      if ("text" in message) {
        dispatch("output", message.text);
      } else if ("past" in message) {
        dispatch("reset", { size: { cols: message.cols, rows: message.rows }, init: message.past });
        dispatch("playing");
        told.textContent = "Live.";
      } else {
        dispatch("resize", { cols: message.cols, rows: message.rows });
      }
    };
    const end = (words) => {
      stream.close();
      told.textContent = words;
      dispatch("ended", {});
    };
    return {
      play: () => {
        if (stream) { return true; }
        dispatch("play");
        stream = new EventSource(place.dataset.live);
        stream.addEventListener("message", hear);
        stream.addEventListener("told", (event) => list(JSON.parse(event.data)));
        stream.addEventListener("over", (event) => end(JSON.parse(event.data).why));
        // Every connection is a look in the log: a broken one is not made again behind anybody's back.
        stream.addEventListener("error", () => end("The connection broke, or the visit is over. Load the page again."));
        return true;
      },
      stop: () => { if (stream) { stream.close(); } },
      getTiming: () => ({ time: undefined, rate: 0 }),
    };
  };
  AsciinemaPlayer.create(live, place, { autoPlay: true, controls: false, fit: "width", theme: "asciinema" });
})();
