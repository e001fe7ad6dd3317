// The driver protocol flexlive.v1, see driver-protocol.md. Made by `python -m tools.typescript_types`; not by hand.

/** A UUID as lowercase text. */
export type Uuid = string;
/** RFC 3339 with an offset; the server sends `Z`. */
export type Time = string;
/** One of these words, or one that a later server has learnt. */
export type OpenWord<Known extends string> = Known | (string & Record<never, never>);
/** The WebSocket subprotocol. */
export type Subprotocol = "flexlive.v1";

/** -90 – 90 */
export type Lat = number;
/** -180 – 180 */
export type Lon = number;
/** 0 – 100,000 */
export type AccuracyM = number;
/** 0 – 1,000 */
export type SpeedMps = number;
/** 0 – 360 */
export type BearingDeg = number;
/** 1 – 64 characters */
export type SessionId = string;
/** 0 – 9,999,999,999 */
export type Seq = number;
/** 1 – 64 characters */
export type Code = string;
/** 1 – 64 characters, `^[!-~]+(?![\s\S])` */
export type DeviceId = string;
/** 0 – 9,999,999,999 */
export type InboxSeq = number;
/** 1 – 64 characters, `^[!-~]+(?![\s\S])` */
export type Cmd = string;
export type PresenceMode = "online" | "offline";
/** 1 – 2,147,483,647 */
export type Version = number;
export type CheckInMethod = "geofence" | "store_qr" | "code";
/** 0 – 500 characters */
export type Note = string;
export type ProofKind = "photo" | "signature" | "age";
/** `^[0-9a-f]{64}(?![\s\S])` */
export type Sha256 = string;
/** 0 – 100 characters */
export type Label = string;
export type GoneReason = "taken" | "expired" | "withdrawn" | "lost";
export type ResetReason = "unknown_session" | "other_epoch" | "too_old";
export type ResultCode =
  | "ok"
  | "won"
  | "entered"
  | "lost"
  | "taken"
  | "expired"
  | "withdrawn"
  | "conflict"
  | "not_eligible"
  | "not_found"
  | "out_of_range"
  | "wrong_package"
  | "wrong_code"
  | "illegal_transition"
  | "rate_limited"
  | "invalid";

/** One GPS fix. accuracy in metres (68 %), speed m/s, bearing degrees from north; mock: the phone admits a fake. */
export interface Point {
  lat: Lat;
  lon: Lon;
  at: Time;
  accuracy_m: AccuracyM;
  speed_mps?: SpeedMps | null;
  bearing_deg?: BearingDeg | null;
  mock?: boolean;
}

/** Where the last session stopped: `seq` is the last fact applied. */
export interface Resume {
  sid: SessionId;
  epoch: SessionId;
  seq: Seq;
}

export interface Hello {
  type: "hello";
  ack?: Seq | null;
  app_version: Code;
  device_id: DeviceId;
  position?: Point | null;
  resume?: Resume | null;
  inbox_seq?: InboxSeq;
  unacked?: Cmd[];
}

export interface Ack {
  type: "ack";
  ack?: Seq | null;
  seq: Seq;
}

export interface Heartbeat {
  type: "heartbeat";
  ack?: Seq | null;
}

export interface Location {
  type: "location";
  ack?: Seq | null;
  points: Point[];
}

export interface OfferSeen {
  type: "offer.seen";
  ack?: Seq | null;
  offer_id: Uuid;
  rendered_at: Time;
}

export interface NoticeSeen {
  type: "notice.seen";
  ack?: Seq | null;
  notice_id: Uuid;
}

/** Asks for a fresh snapshot in this session. */
export interface Sync {
  type: "sync";
  ack?: Seq | null;
}

export interface PresenceSet {
  type: "presence.set";
  ack?: Seq | null;
  cmd: Cmd;
  mode: PresenceMode;
  filters?: Record<string, unknown> | null;
}

export interface OfferAccept {
  type: "offer.accept";
  ack?: Seq | null;
  cmd: Cmd;
  offer_id: Uuid;
  offer_version: Version;
}

export interface OfferDecline {
  type: "offer.decline";
  ack?: Seq | null;
  cmd: Cmd;
  offer_id: Uuid;
  reason?: Code | null;
}

export interface CheckIn {
  type: "check_in";
  ack?: Seq | null;
  cmd: Cmd;
  stop_id: Uuid;
  method: CheckInMethod;
  at: Time;
  point?: Point | null;
  accuracy_m?: AccuracyM | null;
  qr?: Note | null;
  code?: Code | null;
}

export interface Scan {
  type: "scan";
  ack?: Seq | null;
  cmd: Cmd;
  stop_id: Uuid;
  barcode: Code;
  occurred_at: Time;
}

/** A package the store could not hand over, and why (published reason code). */
export interface Missing {
  barcode: Code;
  reason: Code;
}

export interface PickupConfirm {
  type: "pickup.confirm";
  ack?: Seq | null;
  cmd: Cmd;
  stop_id: Uuid;
  store_code: Code;
  missing?: Missing[];
}

/** Setting off towards this stop. */
export interface Depart {
  type: "depart";
  ack?: Seq | null;
  cmd: Cmd;
  stop_id: Uuid;
}

/** The hash of a proof; its bytes travel by HTTP. */
export interface ProofAdd {
  type: "proof.add";
  ack?: Seq | null;
  cmd: Cmd;
  delivery_id: Uuid;
  kind: ProofKind;
  sha256: Sha256;
  upload_id?: Code | null;
  occurred_at: Time;
}

export interface Deliver {
  type: "deliver";
  ack?: Seq | null;
  cmd: Cmd;
  delivery_id: Uuid;
  pincode?: Code | null;
  recipient?: Label | null;
  left_at?: Label | null;
  occurred_at: Time;
}

export interface IncidentReport {
  type: "incident.report";
  ack?: Seq | null;
  cmd: Cmd;
  delivery_id: Uuid;
  reason_code: Code;
  note?: Note | null;
}

export interface ReturnConfirm {
  type: "return.confirm";
  ack?: Seq | null;
  cmd: Cmd;
  stop_id: Uuid;
  store_code: Code;
}

export interface RouteForfeit {
  type: "route.forfeit";
  ack?: Seq | null;
  cmd: Cmd;
  route_id: Uuid;
  reason: Code;
}

export interface EnrolmentAnswer {
  type: "enrolment.answer";
  ack?: Seq | null;
  cmd: Cmd;
  offer_type: Code;
  accept: boolean;
  terms_version: Version;
}

export interface Entrance {
  name: string;
  lat: number;
  lon: number;
}

export interface SiteView {
  id: Uuid;
  kind: string;
  name: string;
  entrance: Entrance;
}

export interface StoreView {
  store_id: Uuid;
  name: string;
  unit?: string;
  floor?: string;
}

export interface PayView {
  base_cents: number;
  tip_cents: number;
  wait_rate_cents_per_minute: number;
  currency: string;
}

export interface EstimateView {
  drive_seconds: number;
  walk_seconds: number;
  wait_seconds: number;
  distance_m: number;
}

export interface OfferOpen {
  type: "offer.open";
  offer_id: Uuid;
  offer_version: number;
  offer_type: string;
  shape: string;
  site: SiteView;
  stores: StoreView[];
  delivery_count: number;
  package_count: number;
  pay: PayView;
  estimate: EstimateView;
  dropoff_cells: string[];
  requires?: string[];
  rule: string;
  opened_at: Time;
  valid_until: Time;
  draw_commitment?: string;
  decide_at?: Time;
  starts_at?: Time;
  seq: number;
}

export interface OfferUpdate {
  type: "offer.update";
  offer_id: Uuid;
  offer_version: number;
  offer_type: string;
  shape: string;
  site: SiteView;
  stores: StoreView[];
  delivery_count: number;
  package_count: number;
  pay: PayView;
  estimate: EstimateView;
  dropoff_cells: string[];
  requires?: string[];
  rule: string;
  opened_at: Time;
  valid_until: Time;
  draw_commitment?: string;
  decide_at?: Time;
  starts_at?: Time;
  seq: number;
}

export interface OfferGone {
  type: "offer.gone";
  seq: number;
  offer_id: Uuid;
  reason: OpenWord<GoneReason>;
}

export interface OfferDecided {
  type: "offer.decided";
  seq: number;
  offer_id: Uuid;
  outcome: string;
  seed?: string;
  entrants_sha256?: string;
}

export interface ContactView {
  name: string;
  phone?: string;
}

export interface WindowView {
  ready_at?: Time;
  deadline_at?: Time;
}

export interface PackageView {
  package_id: Uuid;
  barcode: string;
  size: string;
  weight_grams: number;
  must_be_upright?: boolean;
  custody: string;
}

/** Which proofs the door needs; never the PIN itself. */
export interface VerificationView {
  photo?: boolean;
  signature?: boolean;
  pincode?: boolean;
  min_age?: number;
}

/** return_cents: what bringing it back pays, from the moment it is on its way back. */
export interface StopDeliveryView {
  delivery_id: Uuid;
  external_delivery_id: string;
  status: string;
  packages: PackageView[];
  verification: VerificationView;
  return_cents?: number;
}

export interface StopView {
  stop_id: Uuid;
  sequence: number;
  kind: string;
  status: string;
  name: string;
  address: string;
  lat: number;
  lon: number;
  geofence_radius_m: number;
  site_id?: Uuid;
  store_id?: Uuid;
  contact?: ContactView;
  instructions?: string;
  window?: WindowView;
  deliveries: StopDeliveryView[];
}

export interface RouteUpdate {
  type: "route.update";
  route_id: Uuid;
  version: number;
  status: string;
  offer_id?: Uuid;
  stops: StopView[];
  seq: number;
}

export interface DeliveryUpdate {
  type: "delivery.update";
  seq: number;
  delivery_id: Uuid;
  status: string;
  readiness: string;
  version: number;
}

export interface Notice {
  type: "notice";
  notice_id: Uuid;
  title: string;
  body: string;
  action?: string;
  offer_type?: string;
  terms_version?: number;
  expires_at: Time;
  seq: number;
}

export interface EnrolmentUpdate {
  type: "enrolment.update";
  offer_type: string;
  status: string;
  terms_version?: number;
  terms_version_now: number;
  documents_missing?: string[];
  reason?: string;
  seq: number;
}

/** A fact that has died meanwhile; it keeps its place in the count. */
export interface Skip {
  type: "skip";
  seq: number;
}

export interface EtaUpdate {
  type: "eta.update";
  stop_id: Uuid;
  eta_at: Time;
}

export interface QueueUpdate {
  type: "queue.update";
  site_id: Uuid;
  position_low: number;
  position_high: number;
}

export interface Limits {
  frame_bytes_max: number;
  points_max: number;
  commands_burst_per_second: number;
  commands_per_minute: number;
  ack_delay_seconds_max: number;
}

/** A new session; `snapshot` follows. results: stored answers to `hello.unacked`, byte for byte. */
export interface Welcome {
  type: "welcome";
  sid: string;
  epoch: string;
  seq: number;
  server_time: Time;
  heartbeat_seconds: number;
  resume_window_seconds: number;
  limits: Limits;
  results?: Result[];
  unknown_commands?: string[];
}

/** The session lives on: exactly the facts `from` + 1 … `to` follow in order, then `live`. */
export interface Resumed {
  type: "resumed";
  from: number;
  to: number;
  results?: Result[];
  unknown_commands?: string[];
}

/** Resume refused: forget what you know. The other fields are those of `welcome`; `snapshot` follows. */
export interface Reset {
  type: "reset";
  reason: OpenWord<ResetReason>;
  sid: string;
  epoch: string;
  seq: number;
  server_time: Time;
  heartbeat_seconds: number;
  resume_window_seconds: number;
  limits: Limits;
  results?: Result[];
  unknown_commands?: string[];
}

export interface Live {
  type: "live";
}

/** The body of `route.update` and of `snapshot.routes[]`. A route whose status is not `active` has ended. */
export interface RouteView {
  route_id: Uuid;
  version: number;
  status: string;
  offer_id?: Uuid;
  stops: StopView[];
}

/** The body of `offer.open`, `offer.update` and of `snapshot.offers[]`. dropoff_cells: lowercase hex. */
export interface OfferView {
  offer_id: Uuid;
  offer_version: number;
  offer_type: string;
  shape: string;
  site: SiteView;
  stores: StoreView[];
  delivery_count: number;
  package_count: number;
  pay: PayView;
  estimate: EstimateView;
  dropoff_cells: string[];
  requires?: string[];
  rule: string;
  opened_at: Time;
  valid_until: Time;
  draw_commitment?: string;
  decide_at?: Time;
  starts_at?: Time;
}

/** A fact no snapshot can rebuild, kept until the phone has seen it. */
export interface InboxItem {
  inbox_seq: number;
  kind: string;
  body: Record<string, unknown>;
  created_at: Time;
}

export interface PositionView {
  lat: number;
  lon: number;
  at: Time;
}

/** All a driver is entitled to know at `seq`; facts after it may repeat it. */
export interface Snapshot {
  type: "snapshot";
  seq: number;
  presence: OpenWord<PresenceMode>;
  routes: RouteView[];
  offers: OfferView[];
  inbox?: InboxItem[];
  position?: PositionView;
  queue?: Record<string, unknown>;
}

export interface ServerHeartbeat {
  type: "heartbeat";
}

export interface Drain {
  type: "drain";
  reconnect_after_ms: number;
}

export interface Error {
  type: "error";
  code: string;
  message: string;
}

/** The one answer to a command. ok: the command took effect; code: one of ResultCode. */
export interface Result {
  type: "result";
  cmd: string;
  ok: boolean;
  code: OpenWord<ResultCode>;
  retry_after_ms?: number;
  current?: Record<string, unknown>;
}

/** Answered by exactly one `Result`; safe to repeat. */
export type Command =
  | PresenceSet
  | OfferAccept
  | OfferDecline
  | CheckIn
  | Scan
  | PickupConfirm
  | Depart
  | ProofAdd
  | Deliver
  | IncidentReport
  | ReturnConfirm
  | RouteForfeit
  | EnrolmentAnswer;

/** Not answered; `Sync` by a `Snapshot`. */
export type Signal = Ack | Heartbeat | Location | OfferSeen | NoticeSeen | Sync;

/** What a phone may send. */
export type ClientMessage = Hello | Signal | Command;

/** Carries `seq`; every one arrives, in order. */
export type Fact =
  | OfferOpen
  | OfferUpdate
  | OfferGone
  | OfferDecided
  | RouteUpdate
  | DeliveryUpdate
  | Notice
  | EnrolmentUpdate
  | Skip;

/** Newest wins, may be dropped. */
export type State = EtaUpdate | QueueUpdate;

/** Steers the session. */
export type Control = Welcome | Resumed | Reset | Live | Snapshot | ServerHeartbeat | Drain | Error | Result;

/** What a server sends. Ignore a `type` that is not here. */
export type ServerMessage = Fact | State | Control;

/** What to do after the socket was closed with one of these codes. */
export interface CloseAdvice {
  /** internal */
  4000: "resume";
  /** restart */
  4001: "resume";
  /** slow consumer */
  4008: "resume";
  /** heartbeat missed */
  4009: "resume";
  /** rate limited */
  4029: "resume";
  /** token expired */
  4401: "refresh_token";
  /** protocol violation */
  4500: "stop";
  /** bad frames */
  4501: "stop";
  /** forbidden */
  4503: "stop";
  /** replaced */
  4509: "stop";
  /** upgrade required */
  4526: "stop";
  /** deactivated */
  4530: "stop";
}
export type CloseCode = keyof CloseAdvice;
