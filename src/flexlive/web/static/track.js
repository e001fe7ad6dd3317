// The page is complete as it came. This only asks for it again when the stream says that something has happened.
"use strict";

(() => {
  const RETRY_MS_MIN = 4000;
  const RETRY_MS_MAX = 60000;
  let source = null;
  let retryMs = RETRY_MS_MIN;
  let refreshing = false;
  let refreshAgain = false;

  const root = () => document.getElementById("track");

  function showConnection(lost) {
    const note = document.getElementById("connection");
    if (note) note.hidden = !lost;
  }

  async function refresh() {
    if (refreshing) {
      refreshAgain = true;
      return;
    }
    refreshing = true;
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", credentials: "omit" });
      if (answer.ok || answer.status === 404) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("track");
        if (fresh) {
          root().replaceWith(document.adoptNode(fresh));
          document.title = page.title;
        }
        if (answer.status === 404) stop();
      }
    } catch {
      showConnection(true);
    } finally {
      refreshing = false;
      if (refreshAgain) {
        refreshAgain = false;
        refresh();
      }
    }
  }

  function stop() {
    if (source) source.close();
    source = null;
  }

  function showEta(event) {
    const note = document.getElementById("eta");
    const at = new Date(JSON.parse(event.data).arrives_at);
    if (!note || Number.isNaN(at.getTime())) return;
    note.textContent = "Expected " + at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    note.hidden = false;
  }

  function connect() {
    const here = root();
    if (!here || here.dataset.terminal === "true" || !here.dataset.events) return;
    source = new EventSource(here.dataset.events);
    source.addEventListener("position", () => {
      retryMs = RETRY_MS_MIN;
      showConnection(false);
    });
    source.addEventListener("state", (event) => {
      if (String(JSON.parse(event.data).seq) !== root().dataset.seq) refresh();
    });
    source.addEventListener("fact", refresh);
    source.addEventListener("eta", showEta);
    source.addEventListener("end", () => {
      stop();
      refresh();
    });
    source.addEventListener("error", () => {
      showConnection(true);
      if (source && source.readyState === EventSource.CLOSED) {
        // The browser has given up (an error status); ask again ourselves, less and less often.
        stop();
        setTimeout(() => refresh().then(connect), retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      }
    });
  }

  connect();
})();
