"use strict";
// The key is in the fragment, which browsers never send; the server has only ciphertext.
(() => {
  const fragment = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  const button = document.getElementById("show");
  const out = document.getElementById("out");
  const ring = document.getElementById("ring").textContent;
  const say = (text) => { out.textContent = text; out.hidden = false; };
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

  // The key is made ready first: a link that is cut short, or a browser that cannot, must not use the secret up.
  const readKey = async () => {
    if (!window.crypto || !crypto.subtle) {
      say("This browser cannot show it. Nothing was used up: open the link in another one.");
      return null;
    }
    try {
      const raw = bytes(fragment);
      if (raw.length !== 32) { throw new RangeError("a key has 32 bytes"); }
      return await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
    } catch (error) {
      say("This link is not complete. Nothing was used up: open it from the mail itself, whole.");
      return null;
    }
  };

  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const key = await readKey();
    if (key === null) { return; }
    try {
      const answer = await fetch(location.pathname + "/open", { method: "POST", cache: "no-store" });
      if (!answer.ok) { say(await answer.text()); return; }
      const sealed = new Uint8Array(await answer.arrayBuffer());
      const id = new TextEncoder().encode(location.pathname.split("/").pop());
      const plain = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: sealed.slice(0, 12), additionalData: id }, key, sealed.slice(12));
      const secret = document.getElementById("secret");
      secret.textContent = JSON.parse(new TextDecoder().decode(plain)).secret;
      secret.hidden = false;
      button.hidden = true;
      say("Write it down or use it now: it is shown this once.");
    } catch (error) {
      say("It could not be shown, and cannot be shown again. Ask for a new one. " + ring);
    }
  });
})();
