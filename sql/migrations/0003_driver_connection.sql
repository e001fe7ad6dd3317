-- Phones that sleep: where to ring them, which offers they have shown, and one ring an offer.
-- depends: 0002_whole_loop

-- migrate: apply

alter table lease
  drop constraint lease_name_check,
  add constraint lease_name_check check (name in ('relay', 'dispatcher', 'sweeper', 'watch', 'waker'));

-- By whom a package was read again: what one driver has read is no look of another's.
alter table package add rescanned_by uuid;
update package p set rescanned_by = d.driver_id
from delivery d
where p.market_id = d.market_id and p.delivery_id = d.delivery_id and p.rescanned_at is not null;

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

-- migrate: rollback

drop view cluster;
alter table package drop rescanned_by;
drop table wake_ring;
drop table offer_seen;
drop table push_target;
delete from lease where name = 'waker';
alter table lease
  drop constraint lease_name_check,
  add constraint lease_name_check check (name in ('relay', 'dispatcher', 'sweeper', 'watch'));
