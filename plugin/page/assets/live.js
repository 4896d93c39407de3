// The daemon's lines, as they come.

const secretKey = "gangway-token";
let secret = "";
let connection = null;

// takeSecret keeps the token of the address for this tab, and takes it out of the address
// and of the history: the part behind # is sent to nobody.
function takeSecret() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(secretKey, given);
    history.replaceState(null, "", location.pathname);
  }
  secret = sessionStorage.getItem(secretKey) || "";
}

const headers = () => (secret ? { Authorization: `Bearer ${secret}` } : {});

// failed is an answer that is none. It may not be JSON.
async function failed(response) {
  const error = new Error(await response.json().then((body) => body.error, () => response.statusText));
  error.status = response.status;
  return error;
}

async function ask(path) {
  const response = await fetch(path, { headers: headers(), credentials: "omit" });
  if (!response.ok) throw await failed(response);
  return response.json();
}

// follow hands on lines until the connection ends.
async function follow(signal) {
  const response = await fetch("live", { headers: headers(), credentials: "omit", signal });
  if (!response.ok) throw await failed(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the connection has ended");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  }
}

// connect follows as long as somebody looks, and tries again where that ends.
async function connect() {
  if (connection) return;
  connection = new AbortController();
  const { signal } = connection;
  while (!signal.aborted) {
    try {
      await follow(signal);
    } catch (error) {
      if (signal.aborted) break;
      if (error.status === 401) {
        askSecret();
        break;
      }
      lost(`No connection to Gangway: ${error.message}. Trying again.`);
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
  connection = null;
  if (document.visibilityState === "visible" && signal.aborted) connect();
}

function disconnect() {
  connection?.abort();
}

function askSecret() {
  byID("login").hidden = false;
  byID("token").focus();
  lost(secret ? "This is not the token." : "");
  setState("starting", "locked");
}
