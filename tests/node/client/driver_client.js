// A driver's app without its screen: keeps a session with the server over whatever the network does.

import { EventEmitter } from "node:events";
import { randomUUID } from "node:crypto";
import { fullJitter, repeatAfter } from "./backoff.js";
import { advice } from "./close_codes.js";
import { CommandQueue } from "./commands.js";
import { Credentials, postCommand } from "./http.js";
import { Session } from "./session.js";
import { MemoryStore } from "./store.js";
import { Timers } from "./timers.js";
import { Wire } from "./wire.js";

const REPEATS_MAX = 4;
const OPENING_MS = 15_000;
const ACK_MS = 1_000;
const SYNC_MS = 2_000;

/**
 * Emits phase(phase), frame(frame, text), fact(frame), snapshot(frame), inbox(row), answer(result), close(code),
 * hole, stopped(advice) and trouble(text, for developers).
 * Options: url, httpUrl, token or credentials, deviceId, appVersion, position() → point or null, store,
 * random, openingMs, answerMs, tap, ack (false: never, for tests).
 */
export class DriverClient extends EventEmitter {
  constructor(options) {
    super();
    const store = options.store ?? new MemoryStore();
    this.options = { appVersion: "node/1.0", random: Math.random, openingMs: OPENING_MS, answerMs: 5_000, ack: true };
    Object.assign(this.options, options);
    this.store = store;
    this.credentials = options.credentials ?? new Credentials(store, options.httpUrl, { accessToken: options.token });
    this.deviceId = options.deviceId ?? store.get("device_id", randomUUID());
    store.set("device_id", this.deviceId);
    this.session = new Session(store.get("inbox_seq", 0));
    this.commands = new CommandQueue(store);
    this.timers = new Timers();
    this.phase = "offline";
    this.failures = 0;
    this.wire = null;
    this.comeBackAt = null;
    this.wanted = false;
  }

  get board() {
    return this.session.board;
  }

  get offers() {
    return [...this.board.offers.values()];
  }

  /** By the driver's hand: also after a close code that forbids coming back by ourselves. */
  start() {
    this.wanted = true;
    if (this.wire === null) this.#connect();
  }

  stop() {
    this.wanted = false;
    this.timers.stopAll();
    this.wire?.close();
    this.#phase("offline");
  }

  /** The network is gone, as far as a test is concerned; comes back by itself unless it is to stay away. */
  cut({ stayAway = false } = {}) {
    if (stayAway) this.wanted = false;
    this.wire?.cut();
  }

  /** The promise is fulfilled with the `result`, whenever it comes. */
  command(message) {
    const { answer } = this.commands.add(message);
    this.#sendNext();
    return answer;
  }

  /** ack, heartbeat, location, offer.seen, notice.seen, sync: false when there is no open session. */
  signal(message) {
    return this.phase === "live" && this.#send(message);
  }

  /** The next snapshot. What asks too often is dropped unsaid, so it is asked again until one comes. */
  sync() {
    return new Promise((resolve) => {
      const ask = () => this.signal({ type: "sync" });
      const again = setInterval(ask, SYNC_MS);
      this.once("snapshot", (frame) => {
        clearInterval(again);
        resolve(frame);
      });
      ask();
    });
  }

  /** Everything pending, one after another, by the way that works when no socket does. */
  async commandsByHttp() {
    while (this.commands.pending.length > 0) {
      const { text } = this.commands.pending[0];
      const { credentials, deviceId } = this;
      const { result } = await postCommand(this.options.httpUrl, { credentials, deviceId, text });
      this.#answer(result);
    }
  }

  #phase(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.emit("phase", phase);
  }

  #connect() {
    this.timers.stopAll();
    const { url, tap } = this.options;
    const wire = new Wire(url, { token: this.credentials.accessToken, tap: tap?.() });
    this.wire = wire;
    this.#phase("connecting");
    this.timers.start("opening", this.options.openingMs, () => wire.cut());
    wire.on("open", () => this.#hello());
    wire.on("frame", (frame, text) => wire === this.wire && this.#heard(frame, text));
    wire.on("garbage", (text) => this.emit("trouble", `not a frame: ${text.slice(0, 80)}`));
    wire.on("close", (code) => wire === this.wire && this.#closed(code));
  }

  #hello() {
    this.#phase("opening");
    const { appVersion, position } = this.options;
    const at = position?.();
    const asked = this.session.hello();
    this.#send({
      type: "hello",
      app_version: appVersion,
      device_id: this.deviceId,
      ...(at ? { position: at } : {}),
      ...asked,
      unacked: this.commands.unacked(),
    });
    this.#listen();
  }

  #heard(frame, text) {
    this.#listen();
    this.emit("frame", frame, text);
    if (frame.type === "error") this.emit("trouble", `${frame.code}: ${frame.message}`);
    for (const [kind, ...rest] of this.session.take(frame)) {
      if (kind === "answers") rest[0].forEach((result) => this.#answer(result));
      else if (kind === "live") this.#live();
      else if (kind === "acknowledge") this.#acknowledgeSoon();
      else if (kind === "inbox") this.store.set("inbox_seq", this.session.inboxSeq);
      else if (kind === "drain") this.comeBackAt = Date.now() + rest[0];
      else if (kind === "hole") this.wire.close();
      if (kind !== "answers") this.emit(kind, ...rest);
      if (kind === "hole") return this.#closed(4000);
    }
  }

  #live() {
    this.timers.stop("opening");
    this.failures = 0;
    this.#beat();
    this.#phase("live");
    this.#sendNext();
  }

  #send(frame) {
    const sent = this.wire?.send(frame) ?? false;
    if (sent && this.phase === "live") this.#beat();
    return sent;
  }

  #beat() {
    this.timers.start("heartbeat", 1_000 * this.session.heartbeatSeconds, () => this.#send({ type: "heartbeat" }));
  }

  #listen() {
    const wire = this.wire;
    this.timers.start("silence", 2_000 * this.session.heartbeatSeconds, () => wire.cut());
  }

  #acknowledgeSoon() {
    if (!this.options.ack || this.timers.has("ack")) return;
    this.timers.start("ack", this.options.random() * ACK_MS, () => this.#send({ type: "ack", seq: this.session.seq }));
  }

  #sendNext() {
    if (this.phase !== "live" || this.timers.has("pause")) return;
    const entry = this.commands.next();
    if (entry !== null) this.#sendCommand(entry.text, 0);
  }

  /** The n-th repetition of the command in flight; after the fourth in vain the socket is not believed any more. */
  #sendCommand(text, n) {
    const { answerMs, random } = this.options;
    this.#send(text);
    this.timers.start("answer", repeatAfter(n, { answerMs, random }), () => {
      if (n < REPEATS_MAX) this.#sendCommand(text, n + 1);
      else this.wire?.cut();
    });
  }

  #answer(result) {
    if (!this.commands.has(result.cmd)) return;
    if (result.code === "rate_limited") {
      // The same text after that time, and nothing else before it.
      const { text } = this.commands.pending.find((each) => each.cmd === result.cmd);
      this.timers.stop("answer");
      if (this.commands.inFlight === result.cmd)
        this.timers.start("pause", result.retry_after_ms, () => this.#sendCommand(text, 0));
      return;
    }
    const inFlight = this.commands.inFlight === result.cmd;
    const entry = this.commands.answered(result);
    if (inFlight) {
      this.timers.stop("answer");
      this.timers.stop("pause");
    }
    this.board.answered(JSON.parse(entry.text), result);
    this.emit("answer", result);
    this.#sendNext();
  }

  #closed(code) {
    this.wire = null;
    this.timers.stopAll();
    this.session.closed();
    this.commands.lostSocket();
    this.emit("close", code);
    const told = advice(code);
    if (told.retry && this.wanted) this.#comeBack(told);
    if (told.retry) this.#phase("offline");
    else this.#stopped(told);
  }

  #comeBack(told) {
    const drained = told.drain && this.comeBackAt !== null;
    const wait = drained ? this.comeBackAt - Date.now() : fullJitter(this.failures, { random: this.options.random });
    this.comeBackAt = null;
    this.failures += 1;
    this.timers.start("connect", Math.max(0, wait), async () => {
      if (told.refresh && !(await this.#refreshed())) return this.#stopped({ ...told, retry: false, reason: "log_in" });
      if (this.wanted && this.wire === null) this.#connect();
    });
  }

  /** False when only logging in anew helps; a server that cannot be reached is asked again after the next close. */
  async #refreshed() {
    try {
      return await this.credentials.refresh();
    } catch (error) {
      this.emit("trouble", String(error));
      return ![401, 403].includes(error.status);
    }
  }

  #stopped(told) {
    this.wanted = false;
    this.#phase("stopped");
    this.emit("stopped", told);
  }
}
