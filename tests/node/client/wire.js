// One socket: text frames up and down, and the code it ended with.

import { EventEmitter } from "node:events";
import WebSocket from "ws";

export const SUBPROTOCOL = "flexlive.v1";
const CLOSE_CODE = 4000;

/** Emits open, frame(frame, text), garbage(text) and close(code), the last exactly once. */
export class Wire extends EventEmitter {
  constructor(url, { token, protocols = [SUBPROTOCOL], headers = {}, perMessageDeflate = false, tap = null } = {}) {
    super();
    this.tap = tap;
    this.code = null;
    this.isOpen = false;
    this.socket = new WebSocket(url, protocols, {
      headers: token ? { Authorization: `Bearer ${token}`, ...headers } : headers,
      perMessageDeflate,
      handshakeTimeout: 15_000,
    });
    this.socket.on("open", () => {
      this.isOpen = true;
      this.emit("open");
    });
    this.socket.on("message", (data, binary) => this.#heard(data.toString("utf8"), binary));
    this.socket.on("error", (error) => (this.error = error));
    this.socket.on("close", (code) => {
      this.isOpen = false;
      this.code = code;
      this.emit("close", code);
    });
  }

  #heard(text, binary) {
    this.tap?.heard(text, binary);
    let frame = null;
    try {
      if (!binary) frame = JSON.parse(text);
    } catch {
      // Told below.
    }
    if (typeof frame?.type === "string") this.emit("frame", frame, text);
    else this.emit("garbage", text);
  }

  /** What is not a string goes as it is: an object as JSON, bytes as bytes. */
  send(frame, options) {
    if (!this.isOpen) return false;
    const data = typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame);
    this.tap?.sent(data);
    this.socket.send(data, options);
    return true;
  }

  /** In good manners. */
  close() {
    this.socket.close(CLOSE_CODE);
  }

  /** The network is gone. */
  cut() {
    this.socket.terminate();
  }
}
