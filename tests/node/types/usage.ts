// How an app uses the types, and what they must refuse. A line after @ts-expect-error that compiles is an error.
import type {
  ClientMessage,
  CloseAdvice,
  CloseCode,
  Command,
  Fact,
  Hello,
  OfferAccept,
  Result,
  ServerMessage,
  Snapshot,
  Subprotocol,
} from "../../../docs/driver-protocol";

// Every message there is has a branch: a new one makes this file fail until it has one too.
export function kind(message: ServerMessage): string {
  switch (message.type) {
    case "offer.open":
    case "offer.update":
      return `${message.offer_id} ${message.pay.base_cents} ${message.site.entrance.name} ${message.requires?.length ?? 0}`;
    case "offer.gone":
      return message.reason;
    case "offer.decided":
      return message.outcome;
    case "route.update":
      return message.stops.map((stop) => stop.window?.ready_at ?? stop.name).join();
    case "delivery.update":
      return message.readiness;
    case "notice":
      return message.title;
    case "enrolment.update":
      return message.offer_type;
    case "skip":
      return String(message.seq);
    case "eta.update":
      return message.eta_at;
    case "queue.update":
      return String(message.position_low);
    case "welcome":
    case "reset":
      return message.sid;
    case "resumed":
      return `${message.from} ${message.to}`;
    case "live":
    case "heartbeat":
      return message.type;
    case "snapshot":
      return message.presence;
    case "drain":
      return String(message.reconnect_after_ms);
    case "error":
      return message.message;
    case "result":
      return message.cmd;
    default: {
      const nothing: never = message;
      return nothing;
    }
  }
}

export function words(message: ClientMessage): string {
  switch (message.type) {
    case "hello":
      return message.device_id;
    case "ack":
    case "heartbeat":
    case "location":
    case "offer.seen":
    case "notice.seen":
    case "sync":
      return String(message.ack);
    case "presence.set":
    case "offer.accept":
    case "offer.decline":
    case "check_in":
    case "scan":
    case "pickup.confirm":
    case "depart":
    case "proof.add":
    case "deliver":
    case "incident.report":
    case "return.confirm":
    case "route.forfeit":
    case "enrolment.answer":
      return message.cmd;
    default: {
      const nothing: never = message;
      return nothing;
    }
  }
}

export const subprotocol: Subprotocol = "flexlive.v1";
export const hello: Hello = { type: "hello", app_version: "1.0", device_id: "d", resume: null };
export const accept: Command = { type: "offer.accept", cmd: "1", offer_id: "o", offer_version: 1 };
export const seq = (fact: Fact): number => fact.seq;
export const advice = <C extends CloseCode>(code: C, all: CloseAdvice): CloseAdvice[C] => all[code];
export const won = (result: Result): boolean => result.ok && result.code === "won";
export const later = (result: Result): boolean => result.code === "a word of a later version";

// @ts-expect-error a type nobody sends
export const unknownType: ServerMessage = { type: "offer.closed", seq: 1 };
// @ts-expect-error a command without its name
export const nameless: Command = { type: "offer.accept", offer_id: "o", offer_version: 1 };
// @ts-expect-error a field of another command
export const strange: OfferAccept = { type: "offer.accept", cmd: "1", offer_id: "o", offer_version: 1, stop_id: "s" };
// @ts-expect-error a mode there is not
export const asleep: Command = { type: "presence.set", cmd: "1", mode: "asleep" };
// @ts-expect-error a server's message is not a client's
export const backwards: ClientMessage = { type: "live" };
// @ts-expect-error a signal is not a command
export const signal: Command = { type: "sync" };
// @ts-expect-error a snapshot is no fact
export const fact: Fact = { type: "snapshot", seq: 1, presence: "online", routes: [], offers: [] };
// @ts-expect-error the server leaves out what is nothing
export const empty: Snapshot = { type: "snapshot", seq: 1, presence: "online", routes: [], offers: [], position: null };
// @ts-expect-error state has no seq
export const counted = (message: ServerMessage): number => message.seq;
// @ts-expect-error not a code of ours
export const code: CloseCode = 4999;
// @ts-expect-error 4509 does not come back
export const comesBack: CloseAdvice[4509] = "resume";
// @ts-expect-error another protocol
export const other: Subprotocol = "flexlive.v2";
