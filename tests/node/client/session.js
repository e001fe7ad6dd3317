// The session without a socket: frames in, effects out. What the server has told us, and up to where.

import { Board } from "./board.js";

export const FACTS = new Set([
  "offer.open", "offer.update", "offer.gone", "offer.decided", "route.update", "delivery.update", "notice",
  "enrolment.update", "skip",
]); // prettier-ignore
const HOLES_MAX = 3;

export class Session {
  constructor(inboxSeq = 0) {
    this.board = new Board();
    this.inboxSeq = inboxSeq;
    this.sid = null;
    this.epoch = null;
    this.seq = null;
    this.holes = 0;
    this.heartbeatSeconds = 25;
    this.open = false;
    this.#begin();
  }

  #begin() {
    this.named = false;
    this.upTo = null;
    this.open = false;
    this.board.forgetState();
  }

  /** A socket is there: what to ask for. */
  hello() {
    this.#begin();
    const resume = this.sid === null ? null : { sid: this.sid, epoch: this.epoch, seq: this.seq };
    return { resume, inbox_seq: this.inboxSeq };
  }

  /** The socket is gone; what was told so far stays good. */
  closed() {
    this.open = false;
  }

  /** Effects, in order: ["answers", results, unknown], ["live"], ["fact", frame], ["inbox", row], ["drain", ms], ["hole"]. */
  take(frame) {
    if (typeof frame.seq === "number" && frame.type !== "snapshot" && !OPENERS.has(frame.type)) return this.#fact(frame);
    switch (frame.type) {
      case "welcome":
      case "reset":
        if (this.open) return [];
        this.sid = frame.sid;
        this.epoch = frame.epoch;
        this.seq = frame.seq;
        this.named = true;
        this.heartbeatSeconds = frame.heartbeat_seconds;
        return [answers(frame)];
      case "snapshot":
        return this.#snapshot(frame);
      case "resumed":
        if (this.open) return [];
        if (frame.from !== this.seq) return this.#hole();
        this.upTo = frame.to;
        return [answers(frame)];
      case "live":
        if (this.open) return [];
        return this.upTo === null || this.seq !== this.upTo ? this.#hole() : this.#live();
      case "result":
        return [["answers", [frame], []]];
      case "drain":
        return [["drain", frame.reconnect_after_ms]];
      case "eta.update":
      case "queue.update":
        this.board.apply(frame);
        return [["state", frame]];
      default:
        return [];
    }
  }

  #snapshot(frame) {
    if (!this.open && !this.named) return this.#hole();
    if (this.open && frame.seq < this.seq) return [];
    const behind = this.seq;
    this.board.replace(frame);
    this.seq = frame.seq;
    const effects = (frame.inbox ?? [])
      .filter((row) => row.inbox_seq > this.inboxSeq)
      .map((row) => ["inbox", row]);
    for (const [, row] of effects) this.inboxSeq = Math.max(this.inboxSeq, row.inbox_seq);
    if (this.open && frame.seq > behind) effects.push(["acknowledge"]);
    return [...effects, ["snapshot", frame], ...(this.open ? [] : this.#live())];
  }

  #fact(frame) {
    if (!this.open && this.upTo === null) return this.#hole();
    if (frame.seq <= this.seq) return [];
    if (frame.seq > this.seq + 1) return this.#hole();
    this.seq = frame.seq;
    this.holes = 0;
    this.board.apply(frame);
    return [["fact", frame], ["acknowledge"]];
  }

  #live() {
    this.open = true;
    return [["live"]];
  }

  /** Something between has been lost: close and resume; the third time without a new fact, begin anew. */
  #hole() {
    this.holes += 1;
    if (this.holes >= HOLES_MAX) this.forget();
    return [["hole"]];
  }

  forget() {
    this.sid = null;
    this.epoch = null;
    this.seq = null;
    this.holes = 0;
  }
}

const OPENERS = new Set(["welcome", "reset"]);

function answers(frame) {
  return ["answers", frame.results ?? [], frame.unknown_commands ?? []];
}
