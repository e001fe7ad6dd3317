-- The schema as one readable page. migrations/ must add up to exactly this; a test compares the two.
-- Every key is led by market_id, so no statement spans two markets and the tables can be sharded by it;
-- the merchant family (merchant, merchant_key, merchant_store) is the one exception.
-- Money: integer cents. Time: timestamptz. Distance: metres. Duration: seconds. H3 cells: bigint.

create table deployment (
  -- One row. epoch names this database to customer streams; a restore into another cluster or
  -- database is noticed by its identifiers and gets a new one.
  singleton boolean primary key default true check (singleton),
  epoch uuid not null,
  system_identifier bigint not null,
  database_oid bigint not null,
  created_at timestamptz not null
);

create table market (
  market_id text primary key
    check (market_id ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(market_id) <= 40 and market_id <> 'deployment'),
  name text not null,
  time_zone text not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  offer_resolution smallint not null default 7 check (offer_resolution between 4 and 10),
  presence_resolution smallint not null default 9 check (presence_resolution between 7 and 12),
  policy jsonb not null,
  policy_version integer not null default 1,
  created_at timestamptz not null
);

create table pickup_site (
  market_id text not null references market,
  site_id uuid not null,
  parent_site_id uuid,
  kind text not null check (kind in ('mall', 'store', 'supermarket', 'station')),
  name text not null,
  address text not null,
  lat double precision not null check (lat between -90 and 90),
  lon double precision not null check (lon between -180 and 180),
  entrance_name text not null,
  entrance_lat double precision not null check (entrance_lat between -90 and 90),
  entrance_lon double precision not null check (entrance_lon between -180 and 180),
  geofence_radius_m integer not null check (geofence_radius_m between 20 and 5000),
  hours jsonb not null,
  parking_notes text not null default '',
  check_in_code text not null,
  created_at timestamptz not null,
  primary key (market_id, site_id),
  unique (market_id, name),
  foreign key (market_id, parent_site_id) references pickup_site
);

create table merchant (
  merchant_id uuid primary key,
  name text not null unique,
  brand text not null,
  created_at timestamptz not null
);

create table merchant_key (
  key_sha256 bytea primary key check (length(key_sha256) = 32),
  merchant_id uuid not null references merchant,
  scopes text[] not null,
  created_at timestamptz not null,
  revoked_at timestamptz
);

create table store (
  market_id text not null,
  store_id uuid not null,
  merchant_id uuid not null references merchant,
  external_store_id text not null check (length(external_store_id) between 1 and 128),
  site_id uuid not null,
  name text not null,
  unit text not null default '',
  floor text not null default '',
  phone text not null default '',
  pickup_instructions text not null default '',
  hours jsonb not null,
  holidays jsonb not null default '[]',
  prep_seconds_default integer not null default 600 check (prep_seconds_default between 0 and 86400),
  carry_weight_grams_max integer not null default 20000 check (carry_weight_grams_max > 0),
  handoff_code text not null,
  created_at timestamptz not null,
  primary key (market_id, store_id),
  unique (market_id, merchant_id, external_store_id),
  foreign key (market_id, site_id) references pickup_site
);

-- Where a merchant's own store number lives: the market of a delivery comes from its store.
create table merchant_store (
  merchant_id uuid not null references merchant,
  external_store_id text not null,
  market_id text not null references market,
  store_id uuid not null,
  primary key (merchant_id, external_store_id),
  foreign key (market_id, store_id) references store
);

create table offer_type (
  market_id text not null references market,
  offer_type text not null check (offer_type ~ '^[a-z][a-z0-9_]{0,39}$'),
  name text not null,
  terms_version integer not null default 1 check (terms_version >= 1),
  documents_required text[] not null default '{}',
  pay_rule jsonb not null,
  active boolean not null default true,
  created_at timestamptz not null,
  primary key (market_id, offer_type)
);

create table participation (
  market_id text not null,
  merchant_id uuid not null references merchant,
  site_id uuid not null,
  offer_type text not null,
  active boolean not null,
  valid_from timestamptz not null,
  valid_until timestamptz check (valid_until > valid_from),
  primary key (market_id, merchant_id, site_id, offer_type),
  foreign key (market_id, site_id) references pickup_site,
  foreign key (market_id, offer_type) references offer_type
);

create table service_level (
  market_id text not null references market,
  service_level text not null check (service_level in ('express', 'same_day', 'two_day')),
  shape text not null check (shape in ('on_demand', 'wave', 'block')),
  promise_seconds integer not null check (promise_seconds > 0),
  cutoff_local time,
  window_end_local time,
  days_of_week smallint[] not null default '{1,2,3,4,5,6,7}',
  primary key (market_id, service_level)
);

create table driver (
  market_id text not null references market,
  driver_id uuid not null,
  first_name text not null,
  phone text,
  status text not null default 'active' check (status in ('active', 'suspended', 'deactivated')),
  presence text not null default 'offline' check (presence in ('online', 'offline')),
  presence_at timestamptz not null,
  routes_active_max smallint not null default 1 check (routes_active_max between 1 and 8),
  last_seq bigint not null default 0,
  inbox_seq bigint not null default 0,
  created_at timestamptz not null,
  primary key (market_id, driver_id)
);
create unique index driver_phone_key on driver (market_id, phone) where phone is not null;
create index driver_online_idx on driver (market_id, driver_id) where presence = 'online';

-- Moves every few seconds: no index but the key, so every update stays on its page (HOT).
create table driver_position (
  market_id text not null,
  driver_id uuid not null,
  lat double precision not null,
  lon double precision not null,
  accuracy_m real not null,
  positioned_at timestamptz not null,
  received_at timestamptz not null,
  primary key (market_id, driver_id),
  foreign key (market_id, driver_id) references driver
) with (fillfactor = 70);

create table vehicle (
  market_id text not null,
  vehicle_id uuid not null,
  driver_id uuid not null,
  kind text not null check (kind in ('car', 'suv', 'van', 'bike', 'scooter')),
  packages_max smallint not null check (packages_max between 1 and 200),
  volume_litres integer not null check (volume_litres > 0),
  weight_grams_max integer not null check (weight_grams_max > 0),
  carries_upright boolean not null,
  active boolean not null default true,
  primary key (market_id, vehicle_id),
  foreign key (market_id, driver_id) references driver
);
create unique index vehicle_one_active_key on vehicle (market_id, driver_id) where active;

create table enrolment (
  market_id text not null,
  driver_id uuid not null,
  offer_type text not null,
  status text not null check (status in ('invited', 'interested', 'documents', 'active', 'suspended')),
  terms_version integer,
  updated_at timestamptz not null,
  interested_at timestamptz,
  activated_at timestamptz,
  reason text,
  primary key (market_id, driver_id, offer_type),
  check (status <> 'active' or terms_version is not null),
  foreign key (market_id, driver_id) references driver,
  foreign key (market_id, offer_type) references offer_type
);

create table delivery (
  market_id text not null,
  delivery_id uuid not null,
  merchant_id uuid not null references merchant,
  store_id uuid not null,
  site_id uuid not null,
  offer_type text not null,
  service_level text not null,
  external_delivery_id text not null check (length(external_delivery_id) between 1 and 128),
  request_sha256 bytea not null check (length(request_sha256) = 32),
  status text not null check (status in (
    'created', 'confirmed', 'enroute_to_pickup', 'arrived_at_pickup', 'picked_up', 'enroute_to_dropoff',
    'arrived_at_dropoff', 'delivered', 'undeliverable', 'enroute_to_return', 'arrived_at_return', 'returned',
    'disposed', 'cancelled', 'lost')),
  readiness text not null default 'pending' check (readiness in (
    'pending', 'preparing', 'ready', 'delayed', 'handed_over', 'unavailable')),
  version integer not null default 1,
  status_at timestamptz not null,
  pickup_ready_at timestamptz not null,
  pickup_deadline_at timestamptz,
  dropoff_ready_at timestamptz,
  dropoff_deadline_at timestamptz not null,
  pickup_instructions text not null default '',
  dropoff_instructions text not null default '',
  dropoff_address text not null,
  dropoff_unit text not null default '',
  dropoff_lat double precision not null check (dropoff_lat between -90 and 90),
  dropoff_lon double precision not null check (dropoff_lon between -180 and 180),
  dropoff_cell bigint not null,
  contact_name text not null,
  contact_phone text not null default '',
  order_value_cents bigint not null default 0 check (order_value_cents >= 0),
  tip_cents bigint not null default 0 check (tip_cents >= 0),
  currency text not null,
  undeliverable_action text not null check (undeliverable_action in ('return_to_pickup', 'leave_at_door', 'dispose')),
  dropoff_verification jsonb not null default '{}',
  pincode text,
  proof_attempts smallint not null default 0,
  fulfilled_by text not null,
  courier_imminent boolean not null default false,
  driver_id uuid,
  route_id uuid,
  reason_code text,
  last_seq bigint not null default 0,
  track_seq bigint not null default 0,
  created_at timestamptz not null,
  -- What its present driver earns for bringing it; set with the driver, cleared without one.
  pay_base_cents bigint check (pay_base_cents >= 0),
  pay_distance_cents bigint check (pay_distance_cents >= 0),
  -- Quoted before the way back begins.
  pay_return_cents bigint check (pay_return_cents >= 0),
  -- Attempts at the door that ended in an incident.
  attempts smallint not null default 0,
  recipient text,
  left_at text,
  -- The second driver's route that waits to scan these packages.
  transfer_route_id uuid,
  -- How often its tracking links were ended; a new one is derived with it.
  link_version smallint not null default 0,
  primary key (market_id, delivery_id),
  unique (market_id, merchant_id, external_delivery_id),
  check ((driver_id is null) = (route_id is null)),
  -- Who has custody is never unknown.
  check (status in ('created', 'cancelled') or driver_id is not null),
  foreign key (market_id, store_id) references store,
  foreign key (market_id, service_level) references service_level,
  foreign key (market_id, offer_type) references offer_type,
  foreign key (market_id, driver_id) references driver
);
create index delivery_waiting_idx on delivery (market_id, created_at) where status = 'created';
create index delivery_moving_idx on delivery (market_id, route_id)
  where status not in ('created', 'delivered', 'returned', 'disposed', 'cancelled', 'lost');
create index delivery_route_idx on delivery (market_id, route_id) where route_id is not null;
create index delivery_transfer_idx on delivery (market_id, transfer_route_id) where transfer_route_id is not null;

create table package (
  market_id text not null,
  delivery_id uuid not null,
  package_id uuid not null,
  barcode text not null check (length(barcode) between 1 and 64),
  size text not null check (size in ('small', 'medium', 'large', 'extra_large')),
  weight_grams integer not null check (weight_grams >= 0),
  must_be_upright boolean not null default false,
  custody text not null default 'store' check (custody in (
    'store', 'held', 'delivered', 'returned', 'disposed', 'lost', 'missing')),
  missing_reason text,
  scanned_at timestamptz,
  -- Read again by a phone: at the counter that takes it back, or by the driver who takes it over. By whom: what one
  -- driver has read is no look of another's.
  rescanned_at timestamptz,
  rescanned_by uuid,
  primary key (market_id, package_id),
  unique (market_id, delivery_id, barcode),
  check ((custody = 'missing') = (missing_reason is not null)),
  foreign key (market_id, delivery_id) references delivery
);

create table offer (
  market_id text not null,
  offer_id uuid not null,
  offer_type text not null,
  site_id uuid not null,
  shape text not null check (shape in ('on_demand', 'wave', 'block')),
  rule text not null check (rule in ('exclusive', 'first', 'best', 'fair_window')),
  status text not null check (status in (
    'scheduled', 'open', 'accepted', 'expired', 'withdrawn', 'forfeited', 'completed')),
  version integer not null default 1,
  cells bigint[] not null,
  ring smallint not null default 0,
  base_cents bigint not null check (base_cents >= 0),
  tip_cents bigint not null check (tip_cents >= 0),
  wait_rate_cents_per_minute integer not null check (wait_rate_cents_per_minute >= 0),
  currency text not null,
  -- What every entitled driver is shown (the wire's offer.open without seq).
  payload jsonb not null,
  policy text not null,
  policy_version integer not null,
  opened_at timestamptz not null,
  widen_at timestamptz,
  decide_at timestamptz,
  starts_at timestamptz,
  valid_until timestamptz not null check (valid_until > opened_at),
  driver_id uuid,
  accepted_at timestamptz,
  ended_at timestamptz,
  last_seq bigint not null default 0,
  -- The part of base_cents that is for the distance.
  distance_cents bigint not null default 0
    constraint offer_distance_cents_check check (distance_cents between 0 and base_cents),
  -- The pilots that ran over this work when it was opened: only their cohorts are shown it.
  pilot_ids uuid[] not null default '{}',
  -- Who refused this work in an earlier offer: they are not shown it again and cannot win it.
  refused_by uuid[] not null default '{}',
  primary key (market_id, offer_id),
  check ((driver_id is not null) = (status in ('accepted', 'forfeited', 'completed'))),
  check (accepted_at <= valid_until),
  check ((ended_at is not null) = (status in ('expired', 'withdrawn', 'forfeited', 'completed'))),
  foreign key (market_id, site_id) references pickup_site,
  foreign key (market_id, offer_type) references offer_type,
  foreign key (market_id, driver_id) references driver
);
create index offer_open_idx on offer (market_id, valid_until) where status in ('scheduled', 'open');

create table offer_delivery (
  market_id text not null,
  offer_id uuid not null,
  delivery_id uuid not null,
  sequence smallint not null,
  active boolean not null default true,
  primary key (market_id, offer_id, delivery_id),
  foreign key (market_id, offer_id) references offer,
  foreign key (market_id, delivery_id) references delivery
);
-- A delivery is part of at most one live offer.
create unique index offer_delivery_one_live_key on offer_delivery (market_id, delivery_id) where active;
-- What became of its earlier offers.
create index offer_delivery_past_idx on offer_delivery (market_id, delivery_id) where not active;

create table offer_decline (
  market_id text not null,
  offer_id uuid not null,
  driver_id uuid not null,
  reason text,
  declined_at timestamptz not null,
  primary key (market_id, offer_id, driver_id),
  foreign key (market_id, offer_id) references offer
);

create table route (
  market_id text not null,
  route_id uuid not null,
  driver_id uuid not null,
  offer_id uuid,
  status text not null check (status in ('active', 'completed', 'cancelled', 'forfeited')),
  version integer not null default 1,
  last_seq bigint not null default 0,
  created_at timestamptz not null,
  ended_at timestamptz,
  wait_rate_cents_per_minute integer not null default 0 check (wait_rate_cents_per_minute >= 0),
  -- Since when operators know that its driver is silent.
  silent_at timestamptz,
  primary key (market_id, route_id),
  check ((status = 'active') = (ended_at is null)),
  foreign key (market_id, driver_id) references driver,
  foreign key (market_id, offer_id) references offer
);
-- I1: an offer has at most one accepted driver, ever.
create unique index route_one_per_offer_key on route (market_id, offer_id) where offer_id is not null;
create index route_active_idx on route (market_id, driver_id) where status = 'active';

create table stop (
  market_id text not null,
  stop_id uuid not null,
  route_id uuid not null,
  sequence smallint not null check (sequence >= 1),
  kind text not null check (kind in ('site', 'store', 'door', 'return', 'handover')),
  site_id uuid,
  store_id uuid,
  delivery_ids uuid[] not null check (cardinality(delivery_ids) >= 1),
  lat double precision not null,
  lon double precision not null,
  geofence_radius_m integer not null,
  status text not null default 'pending' check (status in ('pending', 'arrived', 'done', 'skipped')),
  departed_at timestamptz,
  arrived_at timestamptz,
  done_at timestamptz,
  code_attempts smallint not null default 0,
  primary key (market_id, stop_id),
  unique (market_id, route_id, sequence),
  check (kind <> 'door' or cardinality(delivery_ids) = 1),
  foreign key (market_id, route_id) references route
);

create table slot (
  market_id text not null,
  route_id uuid not null,
  driver_id uuid not null,
  slot smallint not null check (slot between 1 and 8),
  active boolean not null default true,
  primary key (market_id, route_id),
  foreign key (market_id, route_id) references route
);
create unique index slot_active_key on slot (market_id, driver_id, slot) where active;

create table check_in (
  market_id text not null,
  stop_id uuid not null,
  driver_id uuid not null,
  method text not null check (method in ('geofence', 'store_qr', 'code', 'crossing', 'ops')),
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  lat double precision,
  lon double precision,
  accuracy_m real,
  distance_m real,
  primary key (market_id, stop_id),
  foreign key (market_id, stop_id) references stop
);

create table proof (
  market_id text not null,
  proof_id uuid not null,
  delivery_id uuid not null,
  kind text not null check (kind in ('photo', 'signature', 'pincode', 'age', 'barcode')),
  sha256 bytea check (length(sha256) = 32),
  upload_id text,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  primary key (market_id, proof_id),
  foreign key (market_id, delivery_id) references delivery
);
create index proof_delivery_idx on proof (market_id, delivery_id);

-- What happened. seq is gap-free in a stream (counter: last_seq / track_seq of the entity's own row);
-- xid: the writing transaction's, raised to its predecessor's in the stream when that is larger, so that (xid, event_id)
-- order never contradicts a stream; the relay reads what is below pg_snapshot_xmin.
create table event (
  market_id text not null,
  event_id bigint generated always as identity,
  stream text not null,
  seq bigint not null check (seq >= 1),
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  actor_type text not null check (actor_type in ('driver', 'merchant', 'store', 'customer', 'ops', 'system')),
  actor_id text,
  reason_code text,
  data jsonb not null,
  primary key (market_id, event_id),
  unique (market_id, stream, seq)
);
create index event_relay_idx on event (market_id, xid, event_id);

-- How far the relay of a market has published. Rows up to base_event_id came from another cluster
-- (restore, dump) and count as committed and done.
create table relay_position (
  market_id text primary key references market,
  system_identifier bigint not null,
  term bigint not null,
  xid xid8 not null,
  event_id bigint not null,
  base_event_id bigint not null
);

create table command_result (
  market_id text not null,
  driver_id uuid not null,
  device_id text not null check (length(device_id) between 1 and 64),
  cmd text not null check (length(cmd) between 1 and 64),
  request_sha256 bytea not null check (length(request_sha256) = 32),
  body bytea not null,
  created_at timestamptz not null,
  primary key (market_id, driver_id, device_id, cmd),
  foreign key (market_id, driver_id) references driver
);

-- Facts that no snapshot can rebuild (draw results, cancellation reasons, pay changes, notices).
create table driver_inbox (
  market_id text not null,
  driver_id uuid not null,
  inbox_seq bigint not null,
  kind text not null,
  body jsonb not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (market_id, driver_id, inbox_seq),
  foreign key (market_id, driver_id) references driver
);

-- Append-only. What a driver is owed is the sum; each row names the event that earned it.
create table ledger_entry (
  market_id text not null,
  entry_id uuid not null,
  driver_id uuid not null,
  route_id uuid,
  delivery_id uuid,
  kind text not null check (kind in ('base', 'distance', 'wait', 'tip', 'return', 'partial', 'adjustment')),
  amount_cents bigint not null,
  currency text not null,
  event_id bigint not null,
  created_at timestamptz not null,
  primary key (market_id, entry_id),
  foreign key (market_id, driver_id) references driver,
  foreign key (market_id, event_id) references event
);
create index ledger_entry_driver_idx on ledger_entry (market_id, driver_id, created_at);
create unique index ledger_entry_once_key on ledger_entry (market_id, event_id, kind, delivery_id);

-- One holder per market and role; term fences a holder that has lost it.
create table lease (
  market_id text not null references market,
  name text not null check (name in ('relay', 'dispatcher', 'sweeper', 'watch', 'waker')),
  holder text not null,
  term bigint not null check (term >= 1),
  expires_at timestamptz not null,
  primary key (market_id, name)
);

-- Secrets are kept as SHA-256 only. market_id is 'deployment' for ops tokens of the whole deployment.
create table token (
  market_id text not null,
  token_sha256 bytea not null check (length(token_sha256) = 32),
  kind text not null check (kind in ('driver', 'refresh', 'ticket', 'track', 'ops')),
  subject_id uuid not null,
  family_id uuid not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null,
  -- Of a spent refresh token: which attempt spent it, so that a lost answer can be asked for again.
  spent_by_sha256 bytea check (length(spent_by_sha256) = 32),
  primary key (market_id, token_sha256)
);
create index token_family_idx on token (market_id, family_id);
create index token_subject_idx on token (market_id, kind, subject_id) where revoked_at is null;

-- Why this driver, why not me: each dispatcher decision with its inputs, rule and version.
create table dispatch_decision (
  market_id text not null references market,
  decision_id uuid not null,
  decided_at timestamptz not null,
  policy text not null,
  policy_version integer not null,
  action text not null check (action in ('open', 'widen', 'withdraw', 'draw', 'expire')),
  offer_id uuid,
  inputs jsonb not null,
  primary key (market_id, decision_id)
);
create index dispatch_decision_offer_idx on dispatch_decision (market_id, offer_id);

create table driver_document (
  market_id text not null,
  driver_id uuid not null,
  document text not null check (document ~ '^[a-z][a-z0-9_]{0,39}$'),
  status text not null check (status in ('submitted', 'approved', 'rejected')),
  upload_id text,
  reason text,
  reviewed_by text,
  expires_at timestamptz,
  updated_at timestamptz not null,
  primary key (market_id, driver_id, document),
  foreign key (market_id, driver_id) references driver
);

-- Bytes a driver sent by HTTP; the bytes themselves lie in the upload store under their hash.
create table upload (
  market_id text not null,
  driver_id uuid not null,
  upload_id text not null check (length(upload_id) between 1 and 64),
  sha256 bytea not null check (length(sha256) = 32),
  media_type text not null,
  size_bytes integer not null check (size_bytes > 0),
  created_at timestamptz not null,
  primary key (market_id, driver_id, upload_id),
  foreign key (market_id, driver_id) references driver
);

-- The one-time code of a login under way; a new one replaces it.
create table login_code (
  market_id text not null references market,
  phone text not null,
  code_sha256 bytea not null check (length(code_sha256) = 32),
  attempts smallint not null default 0,
  -- Codes asked for since then; both start anew after a day.
  codes_sent smallint not null default 1,
  counting_since timestamptz not null,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  primary key (market_id, phone)
);

-- What wants an operator's eye; at most one open alert of a kind about the same thing.
create table alert (
  market_id text not null references market,
  alert_id uuid not null,
  kind text not null check (kind in (
    'driver_silent', 'incident', 'late_command', 'no_driver', 'attempts_exhausted')),
  subject_id uuid not null,
  delivery_id uuid,
  route_id uuid,
  driver_id uuid,
  detail jsonb not null default '{}',
  opened_at timestamptz not null,
  resolved_at timestamptz,
  resolved_by text,
  resolution text,
  primary key (market_id, alert_id),
  check ((resolved_at is null) = (resolution is null))
);
create unique index alert_open_key on alert (market_id, kind, subject_id) where resolved_at is null;
create index alert_subject_idx on alert (market_id, subject_id);

-- What operators did, and why. market_id is 'deployment' for what spans markets.
create table ops_action (
  market_id text not null,
  action_id uuid not null,
  ops_id uuid not null,
  action text not null,
  subject_kind text not null,
  subject_id text not null,
  reason_code text not null,
  note text not null default '',
  detail jsonb not null default '{}',
  created_at timestamptz not null,
  primary key (market_id, action_id)
);
create index ops_action_subject_idx on ops_action (market_id, subject_id);

create table notice (
  market_id text not null references market,
  notice_id uuid not null,
  title text not null check (length(title) between 1 and 120),
  body text not null check (length(body) between 1 and 2000),
  action text,
  offer_type text,
  audience jsonb not null,
  author text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null check (expires_at > created_at),
  primary key (market_id, notice_id),
  foreign key (market_id, offer_type) references offer_type
);

create table notice_receipt (
  market_id text not null,
  notice_id uuid not null,
  driver_id uuid not null,
  sent_at timestamptz not null,
  seen_at timestamptz,
  acted_at timestamptz,
  primary key (market_id, notice_id, driver_id),
  foreign key (market_id, notice_id) references notice,
  foreign key (market_id, driver_id) references driver
);
create index notice_receipt_driver_idx on notice_receipt (market_id, driver_id);

create table pilot (
  market_id text not null,
  pilot_id uuid not null,
  name text not null check (length(name) between 1 and 120),
  offer_type text not null,
  -- Empty: all sites, all merchants.
  site_ids uuid[] not null default '{}',
  merchant_ids uuid[] not null default '{}',
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  killed_at timestamptz,
  killed_reason text,
  created_at timestamptz not null,
  primary key (market_id, pilot_id),
  unique (market_id, name),
  check ((killed_at is null) = (killed_reason is null)),
  foreign key (market_id, offer_type) references offer_type
);

create table pilot_member (
  market_id text not null,
  pilot_id uuid not null,
  driver_id uuid not null,
  arm text not null check (arm in ('cohort', 'control')),
  primary key (market_id, pilot_id, driver_id),
  foreign key (market_id, pilot_id) references pilot,
  foreign key (market_id, driver_id) references driver
);
create index pilot_member_driver_idx on pilot_member (market_id, driver_id);

-- Where to ring a sleeping phone.
create table push_target (
  market_id text not null,
  -- What the push service calls the phone: a token, or the URL of a Web Push subscription.
  kind text not null check (kind in ('log', 'fcm', 'apns', 'web_push')),
  address text not null check (length(address) between 1 and 2000),
  driver_id uuid not null,
  device_id text not null check (length(device_id) between 1 and 64),
  -- The login it came with: it ends with it.
  family_id uuid not null,
  -- Of a Web Push subscription only.
  keys jsonb,
  registered_at timestamptz not null,
  dead_at timestamptz,
  -- A phone has one owner: whoever registers it last.
  primary key (market_id, kind, address),
  check ((kind = 'web_push') = (keys is not null)),
  foreign key (market_id, driver_id) references driver
);
create index push_target_driver_idx on push_target (market_id, driver_id);
create index push_target_family_idx on push_target (market_id, family_id);

create table offer_seen (
  market_id text not null,
  offer_id uuid not null,
  driver_id uuid not null,
  seen_at timestamptz not null,
  primary key (market_id, offer_id, driver_id),
  foreign key (market_id, offer_id) references offer,
  foreign key (market_id, driver_id) references driver
);

-- One ring per offer and driver, ever: the row is written before the push leaves.
create table wake_ring (
  market_id text not null,
  offer_id uuid not null,
  driver_id uuid not null,
  reason text not null check (reason in ('away', 'unseen')),
  rung_at timestamptz not null,
  -- Null while it is under way, and for ever when the process died with it.
  outcome text check (outcome in ('accepted', 'refused', 'unknown', 'given_up', 'too_late', 'no_target')),
  kind text,
  device_id text,
  attempts smallint not null default 0,
  settled_at timestamptz,
  primary key (market_id, offer_id, driver_id),
  check ((outcome is null) = (settled_at is null)),
  foreign key (market_id, offer_id) references offer,
  foreign key (market_id, driver_id) references driver
);

-- Which PostgreSQL this is. The timeline counts: a backup of this cluster that was restored, or a standby of it that
-- took over, has the same identifier and is another one all the same. The first timeline changes nothing.
create view cluster as
select system_identifier - 1 + ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
       as system_identifier
from pg_control_system();

-- Who may be shown and may win work of an offer type, as far as papers go: terms in force accepted, every document that
-- the type asks for approved and not expired. Standing, vehicle, slots and pilots are judged besides.
create view eligible_enrolment as
select e.market_id, e.driver_id, e.offer_type
from enrolment e
join offer_type t on t.market_id = e.market_id and t.offer_type = e.offer_type
where e.status = 'active' and t.active and e.terms_version >= t.terms_version
  and not exists (
    select from unnest(t.documents_required) as needed(document)
    where not exists (
      select from driver_document d
      where d.market_id = e.market_id and d.driver_id = e.driver_id and d.document = needed.document
        and d.status = 'approved' and (d.expires_at is null or d.expires_at > clock_timestamp())));

-- Which pilots are over which work. running: shown to the cohort only. killed: not offered to anybody.
create view pilot_work as
select d.market_id, d.delivery_id, p.pilot_id, p.killed_at is not null as killed,
       p.killed_at is null and p.starts_at <= now() and now() < p.ends_at as running
from delivery d
join pilot p on p.market_id = d.market_id and p.offer_type = d.offer_type
  and (p.site_ids = '{}' or d.site_id = any(p.site_ids))
  and (p.merchant_ids = '{}' or d.merchant_id = any(p.merchant_ids));
