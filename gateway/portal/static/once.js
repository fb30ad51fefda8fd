"use strict";
// The key is in the fragment, which browsers never send; the server has only ciphertext.
(() => {
  const fragment = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  const button = document.getElementById("show");
  const out = document.getElementById("out");
  const say = (text) => { out.textContent = text; out.hidden = false; };
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    if (fragment.length < 40) {
      say("This link is not complete. Open it from the mail itself, whole.");
      return;
    }
    try {
      const answer = await fetch(location.pathname + "/open", { method: "POST", cache: "no-store" });
      if (!answer.ok) { say(await answer.text()); return; }
      const sealed = new Uint8Array(await answer.arrayBuffer());
      const key = await crypto.subtle.importKey("raw", bytes(fragment), "AES-GCM", false, ["decrypt"]);
      const id = new TextEncoder().encode(location.pathname.split("/").pop());
      const plain = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: sealed.slice(0, 12), additionalData: id }, key, sealed.slice(12));
      const secret = document.getElementById("secret");
      secret.textContent = JSON.parse(new TextDecoder().decode(plain)).secret;
      secret.hidden = false;
      button.hidden = true;
      say("Write it down or use it now: it is shown this once.");
    } catch (error) {
      say("It could not be shown. Ask for a new one: the number is on your company's support page.");
    }
  });
})();
