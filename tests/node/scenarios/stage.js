// What a scenario has at hand: phones (the client), lines (raw sockets), orders; and it looks after all of them.

import { randomUUID } from "node:crypto";
import { DriverClient, request, Wire } from "../client/index.js";
import { Line } from "./line.js";
import { order } from "./orders.js";
import { Watch } from "./watch.js";

const EVIDENCE_MAX = 16;

export class Failed extends Error {}

export function check(condition, told) {
  if (!condition) throw new Failed(typeof told === "function" ? told() : told);
}

/** Waits until it is true; what it waited for is told when it never is. */
export async function until(condition, told, ms) {
  const end = Date.now() + ms;
  for (;;) {
    const value = condition();
    if (value) return value;
    check(Date.now() < end, () => `did not happen within ${ms} ms: ${told}`);
    await pause(10);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const now = () => new Date().toISOString();

export class Stage {
  /** target: socketUrl, httpUrl, answerMs, offerMs, merchant…; tokens and position: of this lane. */
  constructor(target, tokens, position) {
    this.target = target;
    this.tokens = tokens;
    this.position = position;
    this.devices = tokens.map(() => `phone-${randomUUID()}`);
    this.broken = [];
    this.noticed = new Promise((_, reject) => (this.notice = reject));
    this.noticed.catch(() => {});
    this.watches = [];
    this.toClose = [];
    this.ended = false;
  }

  /** What no scenario may see has been seen. */
  seen(what) {
    this.broken.push(what);
    this.notice(new Failed("what no scenario may see"));
  }

  tap() {
    // Whoever was given up on must not get into the next one's way.
    check(!this.ended, "the scenario has ended");
    const watch = new Watch((what) => this.seen(what));
    this.watches.push(watch);
    return watch;
  }

  point() {
    const [lat, lon] = this.position;
    return { lat, lon, at: now(), accuracy_m: 8 };
  }

  http(method, path, options = {}) {
    return request(this.target.httpUrl, method, path, { token: this.tokens[0], ...options });
  }

  /** A raw socket; the options are the wire's. */
  async line({ driver = 0, query = "", ...options } = {}) {
    const token = "token" in options ? options.token : this.tokens[driver];
    const wire = new Wire(this.target.socketUrl + query, { tap: this.tap(), ...options, token });
    const line = new Line(this, wire, this.devices[driver]);
    this.toClose.push(() => wire.cut());
    await line.connected();
    return line;
  }

  /** The client, started and live unless told otherwise. */
  async phone({ driver = 0, started = true, ...options } = {}) {
    const { socketUrl, httpUrl, clientOptions } = this.target;
    const phone = new DriverClient({
      url: socketUrl,
      httpUrl,
      token: this.tokens[driver],
      deviceId: this.devices[driver],
      position: () => this.point(),
      tap: () => this.tap(),
      ...clientOptions,
      ...options,
    });
    phone.heard = [];
    phone.closes = [];
    phone.on("frame", (frame, text) => phone.heard.push({ frame, text }));
    phone.on("close", (code) => phone.closes.push(code));
    phone.on("trouble", (text) => this.seen(`trouble: ${text}`));
    phone.on("hole", () => this.seen("a hole"));
    this.toClose.push(() => {
      phone.stop();
      phone.cut();
    });
    if (started) await this.live(phone);
    return phone;
  }

  async live(phone) {
    phone.start();
    await until(() => phone.phase === "live", () => `live, it is ${phone.phase} after closes ${phone.closes}`, this.ms);
  }

  /** A phone at the site, online, without work. */
  async driver(options = {}) {
    const phone = await this.phone(options);
    await this.ok(phone, { type: "presence.set", mode: "online" });
    phone.signal({ type: "location", points: [this.point()] });
    await this.clear(phone);
    return phone;
  }

  /** No work on its hands; offers of other scenarios may stay. */
  async clear(phone) {
    await this.synced(phone);
    for (const { route_id } of phone.board.routes.values())
      await this.done(phone.command({ type: "route.forfeit", route_id, reason: "other" }), "the answer to a forfeit");
  }

  async ok(phone, message) {
    const result = await this.done(phone.command(message), `an answer to ${message.type}`);
    check(result.ok, () => `${message.type} is answered ${JSON.stringify(result)}`);
    return result;
  }

  get ms() {
    return this.target.answerMs;
  }

  /** The value of the promise, if it comes in time. */
  async done(promise, told, ms = this.ms) {
    let value;
    let is = false;
    promise.then((got) => ([value, is] = [got, true]));
    await until(() => is, told, ms);
    return value;
  }

  synced(phone) {
    return this.done(phone.sync(), "a snapshot for sync");
  }

  order() {
    return order(this);
  }

  /** The order's offer on this phone's screen. */
  async offered(phone, mine) {
    return until(() => phone.offers.find(mine), "the offer on the screen", this.target.offerMs);
  }

  end() {
    this.ended = true;
    for (const close of this.toClose.splice(0)) close();
  }

  get evidence() {
    return this.watches.flatMap((watch) => watch.log).slice(-EVIDENCE_MAX).map((each) => each.replace(/"sid":"[^"]*"/g, '"sid":"…"'));
  }
}
