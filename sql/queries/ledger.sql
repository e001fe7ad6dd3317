-- name: insert_entries!
-- Money is written in the transaction that earns it and names its event.
insert into ledger_entry (market_id, entry_id, driver_id, route_id, delivery_id, kind, amount_cents, currency, event_id,
                          created_at)
select :market_id, x.entry_id, :driver_id, :route_id, x.delivery_id, x.kind, x.amount_cents, :currency, x.event_id,
       :created_at
from unnest(:entry_ids::uuid[], :delivery_ids::uuid[], :kinds::text[], :amounts_cents::bigint[], :event_ids::bigint[])
  as x(entry_id, delivery_id, kind, amount_cents, event_id);
