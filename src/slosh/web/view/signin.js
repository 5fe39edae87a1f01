/**
 * A page of a server with rules asks for a token where it needs one, instead of staying empty.
 *
 *     <script type="module" src="/-/signin.js"></script>
 *
 * A page below /view/ asks for its topic, any other for the list of topics. It looks when it is loaded, and whenever
 * something on the page gets data-state="failed". The token becomes the session cookie (POST /-/session), which scripts
 * cannot read; then the page is loaded again. A token is never kept here, nor shown.
 */

const home = new URL("../", import.meta.url);
const session = new URL("-/session", home);
const WORDS = {
  401: "This server asks for a token.",
  403: "The token of this browser does not allow this page. Another one may.",
};

/** The status of a look at what this page shows. It makes no topic active (HEAD). */
async function look() {
  const view = new URL("view/", home).href;
  const here = location.origin + location.pathname;
  const name = here.startsWith(view) ? here.slice(view.length) : "";
  const target = new URL(name ? `topics/${name}` : "topics", home);
  const answer = await fetch(target, { method: "HEAD", cache: "no-store" });
  return answer.status;
}

function element(kind, properties, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

/** Ask for a token. `status` says why. */
function ask(status) {
  if (document.getElementById("sign-in")) return;
  const input = element("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false });
  input.style.width = "100%";
  const told = element("p", { role: "alert", textContent: WORDS[status] });
  const send = element("button", { type: "submit", textContent: "Sign in" });
  const leave = element("button", { type: "button", textContent: "Sign out", hidden: status !== 403 });
  const form = element("form", {}, told, element("label", { htmlFor: "token", textContent: "Token" }), input, element("p", {}, send, " ", leave));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open(input, told);
  });
  leave.addEventListener("click", () => fetch(session, { method: "DELETE" }).then(() => location.reload()));
  const dialog = element("dialog", { id: "sign-in", ariaLabel: "Sign in" }, form);
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}

/** Let the server keep the token that was typed as the session cookie. */
async function open(input, told) {
  let words = "The server does not answer. Try again.";
  try {
    const answer = await fetch(session, { method: "POST", headers: { Authorization: `Bearer ${input.value.trim()}` } });
    if (answer.ok) {
      location.reload();
      return;
    }
    words = answer.status === 401 ? "This token does not count: it is not known here, or has expired." : "The server refuses this. Try again later.";
  } catch (error) {
    if (!navigator.onLine) words = "This device is offline.";
    else if (!(error instanceof TypeError) || !/^[\x21-\x7e]+$/.test(input.value.trim())) words = "A token has no spaces and no letters beyond ASCII.";
  }
  told.textContent = words;
  input.select();
}

async function check() {
  try {
    const status = await look();
    if (status in WORDS) ask(status);
  } catch { /* The page itself says that the server is out of reach. */ }
}

new MutationObserver((changes) => {
  if (changes.some(({ target }) => target.dataset.state === "failed")) check();
}).observe(document.documentElement, { subtree: true, attributeFilter: ["data-state"] });
check();
