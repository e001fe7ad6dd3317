// A server that says what a test tells it to say, and nothing else.

import { once } from "node:events";
import { WebSocketServer } from "ws";
import { DriverClient } from "../client/index.js";

export const WELCOME = {
  type: "welcome",
  sid: "s-1",
  epoch: "e-1",
  seq: 0,
  server_time: "2026-11-20T12:00:00Z",
  heartbeat_seconds: 25,
  resume_window_seconds: 120,
  limits: {},
};
export const SNAPSHOT = { type: "snapshot", seq: 0, presence: "online", routes: [], offers: [] };
export const offer = (seq, offer_id = `o-${seq}`, more = {}) => ({ type: "offer.open", seq, offer_id, offer_version: 1, ...more });

/** One socket as the server sees it. */
class Peer {
  constructor(socket) {
    this.socket = socket;
    this.heard = [];
    socket.on("message", (data) => this.heard.push(data.toString()));
  }

  say(...frames) {
    for (const frame of frames) this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  get frames() {
    return this.heard.map((text) => JSON.parse(text));
  }

  of(type) {
    return this.frames.filter((frame) => frame.type === type);
  }

  async hello() {
    await until(() => this.heard.length > 0);
    return this.frames[0];
  }
}

export async function until(condition) {
  const end = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never came: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Runs the test with a server and a client that draws the shortest waits; both are gone afterwards. */
export async function withServer(options, act) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const peers = [];
  server.on("connection", (socket) => peers.push(new Peer(socket)));
  const url = `ws://127.0.0.1:${server.address().port}/v1/driver`;
  const client = new DriverClient({ url, token: "fl_driver_x", deviceId: "phone", random: () => 0, ...options });
  const peer = async (at) => {
    await until(() => peers.length > at);
    await peers[at].hello();
    return peers[at];
  };
  /** The first session, open. */
  const opened = async () => {
    client.start();
    const first = await peer(0);
    first.say(WELCOME, SNAPSHOT);
    await until(() => client.phase === "live");
    return first;
  };
  try {
    await act({ client, peer, opened, peers });
  } finally {
    client.stop();
    for (const each of server.clients) each.terminate();
    server.close();
  }
}
