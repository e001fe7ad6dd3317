// Connect: the handshake, and the first frame.

import { ticket } from "../client/index.js";
import { check } from "./stage.js";

const HELLO_MS = 8_000;
const MADE_UP = "A".repeat(43);

const refused = (options, codes) => async (stage) => (await stage.line(options(stage))).closed(codes);
const unknown = (token) => token.replace(/.{43}$/, MADE_UP);

export const scenarios = {
  "no-token": refused(() => ({ token: null }), 4503),
  "unknown-token": refused((stage) => ({ token: unknown(stage.tokens[0]) }), 4503),
  "made-up-ticket": refused(() => ({ token: null, query: `?ticket=fl_ticket_${MADE_UP}` }), [4401, 4503]),
  "no-subprotocol": refused(() => ({ protocols: [] }), 4526),

  async subprotocol(stage) {
    const line = await stage.line({ protocols: ["chat.v9", "flexlive.v1"], perMessageDeflate: true });
    check(line.wire.socket.protocol === "flexlive.v1", () => `chosen: "${line.wire.socket.protocol}"`);
    check(line.wire.socket.extensions === "", () => `agreed to: ${line.wire.socket.extensions}`);
    await line.open();
  },

  async "plain-request"(stage) {
    const { pathname } = new URL(stage.target.socketUrl);
    const { status } = await stage.http("GET", pathname.slice(new URL(stage.target.httpUrl).pathname.length - 1));
    check(status === 426, `HTTP ${status}`);
  },

  async ticket(stage) {
    const { ticket: spent, expires_at } = await ticket(stage.target.httpUrl, stage.tokens[0]);
    check(spent.startsWith("fl_ticket_") && Date.parse(expires_at) > 0, "a ticket and when it expires");
    const query = `?ticket=${spent}`;
    await (await stage.line({ token: null, query })).open();
    await (await stage.line({ token: null, query })).closed(4401);
  },

  async "hello-deadline"(stage) {
    await (await stage.line()).closed(4009, HELLO_MS);
  },

  async "hello-first"(stage) {
    const line = await stage.line();
    line.send({ type: "heartbeat" });
    await line.closed(4500);
  },

  async "hello-once"(stage) {
    const line = await stage.line();
    await line.open();
    line.send(line.hello({ app_version: "2.0" }));
    await line.closed(4500);
  },
};
