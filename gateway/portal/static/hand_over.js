// Shows a secret that the approver hands over, once. The key is behind the #, which browsers never send; the server
// has only ciphertext, and gives it out for a fresh answer of the passkey. Uses portal.js.
"use strict";
(() => {
  let fragment = "";
  const take = () => {
    if (!location.hash) return;
    fragment = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  };
  take();
  // The mail's link, opened while this page is there already, loads nothing anew.
  window.addEventListener("hashchange", take);
  const show = document.getElementById("show"), out = document.getElementById("out");
  const say = (words) => { out.textContent = words; };

  // The key is made ready first: a link that is cut short, or a browser that cannot, must not use the secret up.
  const readKey = async () => {
    if (!window.crypto || !crypto.subtle) {
      say("This browser cannot show it. Nothing was used up: open the link in another one.");
      return null;
    }
    try {
      const raw = bytes(fragment);
      if (raw.length !== 32) throw new RangeError("a key has 32 bytes");
      return await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
    } catch (error) {
      say("The key stands in the mail “A new telephone password”. Nothing was used up: open its link, whole, in this browser.");
      return null;
    }
  };

  const signed = async (path) => {
    const { keep, ...options } = await post(path + "/options", {});
    const allowCredentials = options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) }));
    const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials };
    return { ...keep, answer: plain(await navigator.credentials.get({ publicKey })) };
  };

  const opened = async (path, sent) => {
    const answer = await fetch(path + "/open", {
      method: "POST", cache: "no-store", body: JSON.stringify(sent),
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
    });
    if (!answer.ok) {
      const told = await answer.json();
      throw new Error([told.error, told.next].filter(Boolean).join(" "));
    }
    return new Uint8Array(await answer.arrayBuffer());
  };

  const reveal = async (key, sealed) => {
    try {
      const clear = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: sealed.slice(0, 12), additionalData: new TextEncoder().encode(show.dataset.link) },
        key, sealed.slice(12));
      const secret = document.getElementById("secret");
      secret.textContent = JSON.parse(new TextDecoder().decode(clear)).secret;
      secret.hidden = false;
      document.getElementById("opens").hidden = true;
      document.getElementById("state").hidden = true;
      document.getElementById("handed").hidden = false;
      say("It is shown this once. Give it to them now, then tick below.");
    } catch (error) {
      say("It could not be shown, and cannot be shown again. Ask for a new one. " + show.dataset.ring);
    }
  };

  show.hidden = false;
  show.addEventListener("click", async () => {
    show.disabled = true;
    const key = await readKey();
    if (key === null) { show.disabled = false; return; }
    say("Your device asks you now.");
    try {
      const path = show.dataset.path;
      await reveal(key, await opened(path, await signed(path)));
    } catch (error) {
      say(error.name === "NotAllowedError" ? "Nothing was done, nothing is used up. Try once more." : error.message);
      show.disabled = false;
    }
  });
})();
