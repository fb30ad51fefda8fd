// A recording: fetched once (that is one look in the log), then shown by asciinema-player at any speed.
"use strict";

(() => {
  const part = (name) => document.getElementById(name);
  const told = part("told");
  const place = part("terminal");
  if (place === null || !window.AsciinemaPlayer) { return; }
  let player = null;
  let playing = false;

  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    const two = (number) => String(number).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };

  // The player takes speed and waiting only when it is made; it goes on where the one before stood.
  const make = (data, share, goOn) => {
    if (player !== null) { player.dispose(); }
    const options = { speed: Number(part("speed").value), fit: "width", controls: true, preload: true, theme: "asciinema" };
    if (part("skip").checked) { options.idleTimeLimit = 2; }
    player = AsciinemaPlayer.create({ data }, place, options);
    for (const name of ["play", "playing"]) { player.addEventListener(name, () => { playing = true; }); }
    for (const name of ["pause", "ended"]) { player.addEventListener(name, () => { playing = false; }); }
    playing = false;
    if (share > 0) { player.seek(`${Math.floor(share * 100)}%`); }
    if (goOn) { player.play(); }
  };

  const moments = (lines) => {
    const marks = lines.filter((line) => line[1] === "m");
    part("markers").replaceChildren(...marks.map((line, marker) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${clock(line[0])}  ${line[2]}`;
      button.addEventListener("click", () => player.seek({ marker }));
      item.append(button);
      return item;
    }));
    part("moments").hidden = marks.length === 0;
  };

  const begin = async () => {
    const answer = await fetch(place.dataset.cast, { headers: { "Content-Type": "application/json" }, cache: "no-store" });
    if (!answer.ok) {
      const words = await answer.json();
      throw new Error([words.error, words.next].filter(Boolean).join(" "));
    }
    const data = await answer.text();
    const lines = data.trim().split("\n").slice(1).map((line) => JSON.parse(line));
    make(data, 0, false);
    moments(lines);
    const length = lines.length > 0 ? lines[lines.length - 1][0] : 0;
    told.textContent = `${clock(length)} long.`;
    part("how").hidden = false;
    for (const name of ["speed", "skip"]) {
      part(name).addEventListener("change", () => {
        const whole = player.getDuration() || 0;
        make(data, whole > 0 ? player.getCurrentTime() / whole : 0, playing);
      });
    }
  };
  begin().catch((error) => { told.textContent = error.message; });
})();
