-- The rest of a delivery's life: what goes wrong, who steps in, what each part earns; and how a market is opened.
-- depends: 0001_initial

-- migrate: apply

alter table delivery
  -- What its present driver earns for bringing it; set with the driver, cleared without one.
  add pay_base_cents bigint check (pay_base_cents >= 0),
  add pay_distance_cents bigint check (pay_distance_cents >= 0),
  -- Quoted before the way back begins.
  add pay_return_cents bigint check (pay_return_cents >= 0),
  -- Attempts at the door that ended in an incident.
  add attempts smallint not null default 0,
  add recipient text,
  add left_at text,
  -- The second driver's route that waits to scan these packages.
  add transfer_route_id uuid,
  -- How often its tracking links were ended; a new one is derived with it.
  add link_version smallint not null default 0;
create index delivery_route_idx on delivery (market_id, route_id) where route_id is not null;
create index delivery_transfer_idx on delivery (market_id, transfer_route_id) where transfer_route_id is not null;

alter table offer
  -- The part of base_cents that is for the distance.
  add distance_cents bigint not null default 0
    constraint offer_distance_cents_check check (distance_cents between 0 and base_cents),
  -- The pilots that ran over this work when it was opened: only their cohorts are shown it.
  add pilot_ids uuid[] not null default '{}',
  add refused_by uuid[] not null default '{}';

create index offer_delivery_past_idx on offer_delivery (market_id, delivery_id) where not active;

alter table route
  add wait_rate_cents_per_minute integer not null default 0 check (wait_rate_cents_per_minute >= 0),
  -- Since when operators know that its driver is silent.
  add silent_at timestamptz;

alter table stop
  drop constraint stop_kind_check,
  add constraint stop_kind_check check (kind in ('site', 'store', 'door', 'return', 'handover')),
  add code_attempts smallint not null default 0;

alter table package
  -- Read again by a phone: at the counter that takes it back, or by the driver who takes it over.
  add rescanned_at timestamptz;

alter table enrolment
  add interested_at timestamptz,
  add activated_at timestamptz,
  add reason text;

alter table lease
  drop constraint lease_name_check,
  add constraint lease_name_check check (name in ('relay', 'dispatcher', 'sweeper', 'watch'));

alter table token
  -- Of a spent refresh token: which attempt spent it, so that a lost answer can be asked for again.
  add spent_by_sha256 bytea check (length(spent_by_sha256) = 32);

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

-- Work under way keeps its pay; until now an offer held one delivery and its base the distance.
update delivery d
set pay_base_cents = o.base_cents, pay_distance_cents = 0
from route r
join offer o on o.market_id = r.market_id and o.offer_id = r.offer_id
where r.market_id = d.market_id and r.route_id = d.route_id and r.status = 'active';

update route r
set wait_rate_cents_per_minute = o.wait_rate_cents_per_minute
from offer o
where o.market_id = r.market_id and o.offer_id = r.offer_id and r.status = 'active';

-- migrate: rollback

drop view pilot_work;
drop view eligible_enrolment;
drop table pilot_member;
drop table pilot;
drop table notice_receipt;
drop table notice;
drop table ops_action;
drop table alert;
drop table login_code;
drop table upload;
drop table driver_document;
delete from lease where name = 'watch';
alter table lease
  drop constraint lease_name_check,
  add constraint lease_name_check check (name in ('relay', 'dispatcher', 'sweeper'));
alter table token drop spent_by_sha256;
alter table enrolment drop interested_at, drop activated_at, drop reason;
alter table package drop rescanned_at;
alter table stop
  drop code_attempts,
  drop constraint stop_kind_check,
  add constraint stop_kind_check check (kind in ('site', 'store', 'door'));
alter table route drop wait_rate_cents_per_minute, drop silent_at;
drop index offer_delivery_past_idx;
alter table offer drop distance_cents, drop pilot_ids, drop refused_by;
drop index delivery_route_idx;
alter table delivery
  drop pay_base_cents, drop pay_distance_cents, drop pay_return_cents, drop attempts, drop recipient, drop left_at,
  drop transfer_route_id, drop link_version;
