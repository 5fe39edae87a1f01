/**
 * A page of a server with rules asks for a token where it needs one, instead of staying empty.
 *
 *     <script type="module" src="/-/signin.js"></script>
 *
 * A page below /view/ asks for its topic, any other for the list of topics. It looks when it is loaded, and whenever
 * something on the page gets data-state="failed". Where the list holds only what is public, it offers a button. The token
 * becomes the session cookie (POST /-/session), which scripts cannot read; then the page is loaded again. A token is never
 * kept here, nor shown. That there is one is noted under the server's address, for the page's line for curl.
 */

import { make, settle } from "./page.js";

const home = new URL("../", import.meta.url);
const session = new URL("-/session", home);
const WORDS = {
  200: "What is not public here needs a token.",
  401: "This server asks for a token. Its operator gives you one.",
  403: "The token of this browser does not allow this page. Another one may.",
};

/** Look at what this page shows. It makes no topic active (HEAD). */
function look() {
  const view = new URL("view/", home).href;
  const here = location.origin + location.pathname;
  const name = here.startsWith(view) ? here.slice(view.length) : "";
  const target = new URL(name ? `topics/${name}` : "topics", home);
  return fetch(target, { method: "HEAD", cache: "no-store" });
}

const button = (textContent, onclick, rest) => make("button", { type: "button", textContent, onclick, ...rest });

/** How the form looks: as a panel of the viewer. Other pages have neither its sheet nor its colours. */
const LOOK = "width:20rem;padding:1.2rem;border:1px solid var(--line,GrayText);border-radius:12px;background:var(--panel,Canvas);color:var(--ink,CanvasText);box-shadow:0 10px 34px rgb(0 0 0/.16)";
const PRIMARY = "background:var(--accent,#0b6f75);border-color:transparent;color:var(--panel,#fff)";

/** A button that asks, where the page tells its state. */
function offer(status) {
  document.getElementById("sign-in")?.remove();
  const made = button("Sign in", () => ask(status), { id: "sign-in" });
  const state = document.querySelector("#state, [data-state]");
  if (state) state.after(made);
  else document.body.prepend(made);
  return made;
}

/** Ask for a token. `status` says why. */
function ask(status) {
  const before = document.getElementById("sign-in");
  if (before?.open) return;
  before?.remove();
  const input = make("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false });
  input.setAttribute("aria-describedby", "sign-in-why sign-in-told");
  const told = make("p", { id: "sign-in-told", role: "alert", style: "margin:0;color:var(--bad)" });
  const send = make("button", { type: "submit", textContent: "Sign in", style: PRIMARY });
  const later = button("Not now", () => dialog.close());
  const leave = button("Sign out", () => fetch(session, { method: "DELETE" }).then(() => location.reload()), { hidden: status !== 403 });
  const form = make("form", { style: "display:grid;gap:.6rem" },
    make("h2", { textContent: "Sign in", style: "margin:0;font-size:1rem" }),
    make("p", { id: "sign-in-why", textContent: WORDS[status], style: "margin:0" }),
    make("label", { htmlFor: "token", textContent: "Token" }), input, told, make("div", {}, send, " ", later, " ", leave));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open(input, told);
  });
  const dialog = make("dialog", { id: "sign-in", ariaLabel: "Sign in", style: LOOK }, form);
  dialog.addEventListener("close", () => settle(() => offer(status).focus()));
  document.body.append(dialog);
  dialog.showModal();
}

/** Let the server keep the token that was typed as the session cookie. */
async function open(input, told) {
  let words = "The server does not answer. Try again.";
  try {
    const answer = await fetch(session, { method: "POST", headers: { Authorization: `Bearer ${input.value.trim()}` } });
    if (answer.ok) {
      if ((await look()).status !== 401) {
        localStorage[home] = "";
        return location.reload();
      }
      words = "This browser keeps no cookie here. Open this page in a tab of its own.";
    } else words = answer.status === 401 ? "This token does not count: it is not known here, or has expired." : "The server refuses this. Try again later.";
  } catch (error) {
    if (!navigator.onLine) words = "This device is offline.";
    else if (!(error instanceof TypeError) || !/^[\x21-\x7e]+$/.test(input.value.trim())) words = "A token has no spaces and no letters beyond ASCII.";
  }
  // The words move the buttons below them.
  settle(() => {
    told.textContent = words;
    input.ariaInvalid = "true";
    input.select();
  });
}

async function check() {
  try {
    const { status, headers } = await look();
    if (status === 401 || status === 403) settle(() => ask(status));
    else if (headers.has("WWW-Authenticate")) settle(() => offer(200));
    const curl = document.getElementById("curl");
    if (status === 401) delete localStorage[home];
    else if (curl && home in localStorage) curl.textContent = curl.textContent.replace("curl -d", 'curl -H "Authorization: Bearer $SLOSH_TOKEN" -d');
  } catch {
    // The page itself says that the server is out of reach. A browser that keeps nothing has never signed in.
  }
}

new MutationObserver((changes) => {
  if (changes.some(({ target }) => target.dataset.state === "failed")) check();
}).observe(document.documentElement, { subtree: true, attributeFilter: ["data-state"] });
check();
