// The frames a server may send, as docs/driver-protocol.md tables them: what must be there and of which kind.

const int = Number.isSafeInteger;
const num = Number.isFinite;
const text = (value) => typeof value === "string";
const bool = (value) => typeof value === "boolean";
const time = (value) => text(value) && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value);
const id = (value) => text(value) && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
const list = (each) => (value) => Array.isArray(value) && value.every(each);
const optional = (kind) => Object.assign((value) => value === null || kind(value), { optional: true });
const shape = (fields) => (value) => wrong(value, fields) === null;
const any = (value) => typeof value === "object" && value !== null;

const result = { type: text, cmd: text, ok: bool, code: text, retry_after_ms: optional(int), current: optional(any) };
const answers = { results: optional(list(shape(result))), unknown_commands: optional(list(text)) };
const limits = {
  frame_bytes_max: int, points_max: int, commands_burst_per_second: int, commands_per_minute: int,
  ack_delay_seconds_max: num,
};
const welcome = {
  sid: text, epoch: text, seq: int, server_time: time, heartbeat_seconds: num, resume_window_seconds: num,
  limits: shape(limits), ...answers,
};
const entrance = { name: text, lat: num, lon: num };
const offer = {
  offer_id: id, offer_version: int, offer_type: text, shape: text,
  site: shape({ id, kind: text, name: text, entrance: shape(entrance) }),
  stores: list(shape({ store_id: id, name: text, unit: optional(text), floor: optional(text) })),
  delivery_count: int, package_count: int,
  pay: shape({ base_cents: int, tip_cents: int, wait_rate_cents_per_minute: int, currency: text }),
  estimate: shape({ drive_seconds: num, walk_seconds: num, wait_seconds: num, distance_m: num }),
  dropoff_cells: list(text), requires: optional(list(text)), rule: text, opened_at: time, valid_until: time,
};
const parcel = { package_id: id, barcode: text, size: text, weight_grams: int, custody: text };
const delivery = {
  delivery_id: id, external_delivery_id: text, status: text, packages: list(shape(parcel)), verification: any,
  return_cents: optional(int),
};
const stop = {
  stop_id: id, sequence: int, kind: text, status: text, name: text, address: text, lat: num, lon: num,
  geofence_radius_m: num, site_id: optional(id), store_id: optional(id), contact: optional(any),
  instructions: optional(text), window: optional(any), deliveries: list(shape(delivery)),
};
const route = { route_id: id, version: int, status: text, offer_id: optional(id), stops: list(shape(stop)) };
const row = { inbox_seq: int, kind: text, body: any, created_at: time };

const SHAPES = {
  welcome,
  reset: { reason: text, ...welcome },
  resumed: { from: int, to: int, ...answers },
  live: {},
  snapshot: {
    seq: int, presence: text, routes: list(shape(route)), offers: list(shape(offer)), inbox: optional(list(shape(row))),
    position: optional(shape({ lat: num, lon: num, at: time })),
  },
  result,
  heartbeat: {},
  drain: { reconnect_after_ms: int },
  error: { code: text, message: text },
  "offer.open": { seq: int, ...offer },
  "offer.update": { seq: int, ...offer },
  "offer.gone": { seq: int, offer_id: id, reason: text },
  "offer.decided": { seq: int, offer_id: id, outcome: text },
  "route.update": { seq: int, ...route },
  "delivery.update": { seq: int, delivery_id: id, status: text, readiness: text, version: int },
  notice: { seq: int, notice_id: id, title: text, body: text, expires_at: time },
  "enrolment.update": { seq: int, offer_type: text, status: text, terms_version_now: int },
  skip: { seq: int },
  "eta.update": { stop_id: id, eta_at: time },
  "queue.update": { site_id: id, position_low: int, position_high: int },
};

function wrong(value, fields) {
  if (typeof value !== "object" || value === null) return "not an object";
  for (const [name, kind] of Object.entries(fields)) {
    if (!(name in value)) {
      if (!kind.optional) return `${name} is missing`;
    } else if (!kind(value[name])) return `${name} is not what it should be`;
  }
  return null;
}

/** What is wrong with a server's frame; null when nothing is. More fields may be there. */
export function misshapen(frame) {
  if (typeof frame !== "object" || frame === null || typeof frame.type !== "string") return "a frame without a type";
  const fields = Object.hasOwn(SHAPES, frame.type) ? SHAPES[frame.type] : null;
  if (fields === null) return `a type that is not in the protocol: ${frame.type}`;
  const what = wrong(frame, fields);
  return what === null ? null : `${frame.type}: ${what}`;
}
