// Server-sent events over fetch. Unlike EventSource this sees heartbeats (comments), so a stream that died in silence –
// a phone in a lift – is noticed, and it sees why it was refused.

const RETRY_MS = 1500;
const RETRY_MS_MAX = 30000;
const SILENT_HEARTBEATS = 2.5;

/**
 * Follows a stream until it ends. position: the last event id known. heartbeatSeconds: how often the server speaks when
 * there is nothing to say. on: { event(name, data), found(), lost(), gone() }. The answer has stop().
 */
export function follow(url, { position, heartbeatSeconds, on }) {
  const silenceMs = Math.max(1000, heartbeatSeconds * 1000 * SILENT_HEARTBEATS);
  let lastId = position;
  let retryMs = RETRY_MS;
  let failures = 0;
  let stopped = false;
  let connection = null;
  let heardAt = 0;
  let silence;
  let again;

  function heard() {
    heardAt = Date.now();
    clearTimeout(silence);
    silence = setTimeout(() => connection?.abort(), silenceMs);
  }

  function stop() {
    stopped = true;
    clearTimeout(again);
    clearTimeout(silence);
    connection?.abort();
    window.removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
    window.removeEventListener("offline", dropped);
  }

  function tell(block) {
    let name = "message";
    let data = "";
    let id = null;
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      const value = line.slice(colon + 1).replace(/^ /, "");
      if (line.startsWith("event:")) name = value;
      else if (line.startsWith("data:")) data += value;
      else if (line.startsWith("id:")) id = value;
      else if (line.startsWith("retry:")) retryMs = Number(value) || RETRY_MS;
    }
    if (!data) return;
    if (id !== null) lastId = id;
    if (name === "position") {
      failures = 0;
      on.found();
    }
    on.event(name, JSON.parse(data));
  }

  async function read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done && !stopped; part = await reader.read()) {
      heard();
      text += part.value;
      for (let cut = text.indexOf("\n\n"); cut >= 0; cut = text.indexOf("\n\n")) {
        tell(text.slice(0, cut));
        text = text.slice(cut + 2);
      }
    }
  }

  async function run() {
    clearTimeout(again);
    if (stopped || connection) return;
    connection = new AbortController();
    heard();
    try {
      const headers = { accept: "text/event-stream", ...(lastId ? { "last-event-id": lastId } : {}) };
      const { signal } = connection;
      const answer = await fetch(url, { headers, signal, cache: "no-store", credentials: "omit" });
      if (answer.status === 404) {
        stop();
        on.gone();
      } else if (answer.ok) {
        await read(answer.body);
      }
    } catch {
      // Whatever it was, the next attempt will tell.
    }
    clearTimeout(silence);
    connection = null;
    if (stopped) return;
    on.lost();
    const pauseMs = Math.min(retryMs * 2 ** failures, RETRY_MS_MAX) * (0.75 + Math.random() / 2);
    failures += 1;
    again = setTimeout(run, pauseMs);
  }

  // The network is back, or somebody looks again: no reason to wait.
  function hurry() {
    if (document.visibilityState === "hidden" || stopped) return;
    if (!connection) run();
    else if (Date.now() - heardAt > silenceMs) connection.abort();
  }

  function dropped() {
    connection?.abort();
    on.lost();
  }

  window.addEventListener("online", hurry);
  window.addEventListener("offline", dropped);
  document.addEventListener("visibilitychange", hurry);
  run();
  return { stop };
}
