// Commands without an answer, in the order given: one in flight, each kept as the very text that is sent.

import { randomUUID } from "node:crypto";

const URGENT = new Set(["offer.accept", "offer.decline"]);

export class CommandQueue {
  constructor(store) {
    this.store = store;
    this.pending = store.get("pending", []);
    this.waiting = new Map();
    this.inFlight = null;
  }

  /** Takes the message for a command; its answer comes from the promise. */
  add({ cmd = randomUUID(), ...message }) {
    const entry = { cmd, text: JSON.stringify({ type: message.type, cmd, ...message }) };
    const urgent = URGENT.has(message.type);
    let at = this.pending.length;
    if (urgent) {
      at = this.pending.findIndex((each) => each.cmd !== this.inFlight && !URGENT.has(JSON.parse(each.text).type));
      if (at < 0) at = this.pending.length;
    }
    this.pending.splice(at, 0, entry);
    this.#keep();
    const answer = new Promise((resolve) => this.waiting.set(cmd, resolve));
    return { entry, answer };
  }

  unacked() {
    return this.pending.slice(0, 100).map((each) => each.cmd);
  }

  /** The next one to send, which is then in flight; nothing while there is one. */
  next() {
    if (this.inFlight !== null || this.pending.length === 0) return null;
    this.inFlight = this.pending[0].cmd;
    return this.pending[0];
  }

  /** No socket, no flight: whether it arrived is not known. */
  lostSocket() {
    this.inFlight = null;
  }

  has(cmd) {
    return this.pending.some((each) => each.cmd === cmd);
  }

  /** An answer has come: true when it was awaited. The first one counts. */
  answered(result) {
    const at = this.pending.findIndex((each) => each.cmd === result.cmd);
    if (at < 0) return false;
    const entry = this.pending[at];
    this.pending.splice(at, 1);
    this.#keep();
    if (this.inFlight === result.cmd) this.inFlight = null;
    this.waiting.get(result.cmd)?.(result);
    this.waiting.delete(result.cmd);
    return entry;
  }

  #keep() {
    this.store.set("pending", this.pending);
  }
}
