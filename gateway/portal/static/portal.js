// Asks the browser for a passkey, and hands its answer back. Nothing is ever written into a page as markup.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const token = document.querySelector('meta[name="csrf"]')?.content || "";

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": token }, body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error([told.error, told.next].filter(Boolean).join(" "));
  return told;
}

function plain(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (credential.response[name]) response[name] = text(credential.response[name]);
  const id = text(credential.rawId);
  return { id, rawId: id, type: credential.type, response, clientExtensionResults: {} };
}

// The key of a mailed link stands behind the #, which is never sent. Whoever has to sign in on the way there keeps it.
const behind = document.querySelector('[data-passkey="sign-in"]') ? location.hash : "";
if (behind) history.replaceState(null, "", location.pathname + location.search);

async function signIn() {
  const options = await post("/sign-in/options", {});
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: [] };
  const answer = plain(await navigator.credentials.get({ publicKey }));
  const next = new URLSearchParams(location.search).get("next") || "/";
  const told = await post("/sign-in", { answer, challenge: options.challenge, next });
  location.assign(told.go + behind);
}

async function enrol(button) {
  const options = await post(location.pathname + "/options", {});
  const publicKey = {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: options.excludeCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
  };
  const told = await post(location.pathname, { answer: plain(await navigator.credentials.create({ publicKey })) });
  document.getElementById("fingerprint").textContent = told.fingerprint;
  document.getElementById("made").hidden = false;
  button.hidden = true;
}

// Signs what stands in the form, and no more: the challenge is the digest of just that.
async function approve(button) {
  const form = button.form, path = form.dataset.path;
  if (!form.reportValidity()) throw new Error("Something is missing.");
  const wanted = { operations: [...form.querySelectorAll("[name=operations]:checked")].map((one) => one.value) };
  for (const one of form.querySelectorAll("[data-field]"))
    wanted[one.name] = one.dataset.field === "number" ? Number(one.value) : one.value;
  const { keep, ...options } = await post(path + "/options", wanted);
  const allowCredentials = options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) }));
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials };
  const answer = plain(await navigator.credentials.get({ publicKey }));
  const told = await post(path + "/yes", { ...wanted, ...keep, answer });
  location.assign(told.go);
}

const ways = { "sign-in": signIn, enrol, approve };
for (const button of document.querySelectorAll("[data-passkey]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const told = button.closest("form, main").querySelector("[role=status]");
    button.disabled = true;
    told.textContent = "Your device asks you now.";
    try {
      await ways[button.dataset.passkey](button);
      told.textContent = "Done.";
    } catch (error) {
      told.textContent = error.name === "NotAllowedError" ? "Nothing was done. Try once more." : error.message;
    }
    button.disabled = false;
  });
}

// Where one is has to be seen in the row of pages, also where that row is swiped.
document.querySelector("header nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
