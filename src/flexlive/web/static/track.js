// The page is complete as it came. This asks for it again when the stream says that something has happened, shows when
// the connection is lost, lets the customer change the instructions, and brings the map once the text stands.

import { follow } from "/static/track-stream.js";

const MAP_DELAY_MS = 1500;

let stream = null;
let map = null;
let mapAsked = false;
let refreshing = false;
let refreshAgain = false;

const root = () => document.getElementById("track");
const part = (selector) => root().querySelector(selector);

function showLost(lost) {
  document.getElementById("connection").hidden = !lost;
}

// The page, again

async function refresh() {
  if (refreshing) {
    refreshAgain = true;
    return;
  }
  refreshing = true;
  do {
    refreshAgain = false;
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", credentials: "omit" });
      if (answer.ok || answer.status === 404) swap(await answer.text());
      else setTimeout(refresh, 2000);
    } catch (error) {
      // The stream notices too, and what it brings next asks again.
      console.error(error);
      showLost(true);
      if (!stream) setTimeout(refresh, 2000);
    }
  } while (refreshAgain);
  refreshing = false;
}

function swap(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const parsed = page.getElementById("track");
  if (!parsed) return;
  const fresh = document.adoptNode(parsed);
  const before = part("h1")?.textContent;
  keepMap(fresh);
  keepDraft(fresh);
  root().replaceWith(fresh);
  document.title = page.title;
  const headline = part("h1")?.textContent;
  if (headline !== before) document.getElementById("announce").textContent = headline;
  if (fresh.dataset.terminal === "true") {
    stream?.stop();
    stream = null;
    showLost(false);
  }
  enhance();
}

function keepMap(fresh) {
  const old = part("#map");
  const place = fresh.querySelector("#map");
  if (!map || !old || !place) {
    map?.stop();
    map = null;
    mapAsked = false;
  } else {
    map.show(place.dataset.cell);
    place.replaceWith(old);
  }
}

function keepDraft(fresh) {
  const old = part("#instructions");
  const place = fresh.querySelector("#instructions");
  if (old?.querySelector("form:not([hidden])") && place?.dataset.put) place.replaceWith(old);
}

// What happens

function connect() {
  const here = root().dataset;
  if (here.terminal === "true" || !here.events) return;
  stream = follow(here.events, {
    position: here.position,
    heartbeatSeconds: Number(here.heartbeatSeconds),
    on: { event: happened, found: () => showLost(false), lost: () => showLost(true), gone: refresh },
  });
}

function happened(name, data) {
  switch (name) {
    case "state":
      if (`${data.epoch}-${data.seq}` !== root().dataset.position) refresh();
      break;
    case "fact":
      refresh();
      break;
    case "courier":
      map?.show(data.cell);
      if (part("#map")) part("#map").dataset.cell = data.cell;
      break;
    case "eta":
      showEta(data);
      break;
    case "end":
      stream?.stop();
      stream = null;
      refresh();
      break;
    default:
  }
}

function showEta({ from_at: from, until_at: until }) {
  const note = part("#eta");
  if (!note || !part(".courier") || part("h1").textContent !== "On the way to you") return;
  const timeZone = root().dataset.timeZone;
  const clock = (at) =>
    new Date(at).toLocaleTimeString("en-US", { hour: "numeric", minute: "2-digit", timeZone }).replace(/\s/g, " ");
  note.textContent = `${clock(from)} – ${clock(until)}`;
}

// The map

function enhance() {
  const edit = part("#instructions .edit");
  if (edit && !part("#instructions form:not([hidden])")) edit.hidden = false;
  const box = part("#map");
  if (!box || mapAsked || navigator.connection?.saveData) return;
  mapAsked = true;
  // After the text, and after whatever else the phone has to do.
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
  idle(() => bringMap(box), { timeout: MAP_DELAY_MS });
}

async function bringMap(box) {
  try {
    const { start } = await import("/static/track-map.js");
    const made = await start(box);
    if (box.isConnected) map = made;
    else made?.stop();
  } catch {
    // No WebGL, no memory, no network: the text says it all.
    box.hidden = true;
  }
}

// Instructions

function editing(on) {
  const section = part("#instructions");
  section.querySelector("form").hidden = !on;
  section.querySelector(".edit").hidden = on;
  section.querySelector(".text").hidden = on;
  section.querySelector(".problem").hidden = true;
  if (on) section.querySelector("textarea").focus();
}

async function save(section) {
  const problem = section.querySelector(".problem");
  const submit = section.querySelector("button[type=submit]");
  const body = JSON.stringify({ dropoff_instructions: section.querySelector("textarea").value });
  submit.disabled = true;
  let answer = null;
  try {
    const headers = { "content-type": "application/json" };
    answer = await fetch(section.dataset.put, { method: "PUT", headers, body, credentials: "omit" });
  } catch {
    // No connection: said below.
  }
  submit.disabled = false;
  if (answer?.ok) {
    editing(false);
    refresh();
    return;
  }
  const said = {
    404: "This link is not valid any more.",
    409: "The driver is already at the door; please tell it in person.",
    429: "That was changed very often; please wait.",
  };
  problem.textContent = said[answer?.status] ?? "It could not be saved. Please try again.";
  problem.hidden = false;
}

document.addEventListener("click", (event) => {
  if (event.target.closest("#instructions .edit")) editing(true);
});
document.addEventListener("reset", (event) => {
  if (event.target.closest("#instructions")) editing(false);
});
document.addEventListener("submit", (event) => {
  const section = event.target.closest("#instructions");
  if (!section) return;
  event.preventDefault();
  save(section);
});

connect();
enhance();
