-- Takes back 0010_audit.up.sql. What is erased stays erased.
drop policy audit_events_see on audit_events;
drop policy audit_events_add on audit_events;
drop policy audit_events_change on audit_events;
drop policy audit_events_remove on audit_events;
create policy audit_events_see on audit_events for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_events_add on audit_events for insert with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy audit_events_change on audit_events for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_events_remove on audit_events for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));

create or replace function keep_ledger() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and to_jsonb(new) - 'book_id' = to_jsonb(old) - 'book_id' then
        return new;
    end if;
    raise exception 'the ledger is append-only';
end
$$;
drop function
    blank_account(uuid), blank_client(uuid, text), destroy_key(uuid, timestamptz), seal_audit(timestamptz, integer);
drop function audit_digest(audit_events);
drop function audit_part(text);

delete from person_keys where destroyed_at is not null;
alter table person_keys
    drop constraint person_keys_destroyed_check,
    drop column destroyed_at,
    alter column sealed_key set not null;

drop trigger audit_events_queued on audit_events;
drop trigger audit_events_kept on audit_events;
drop function queue_for_seal();
drop table audit_sealed, audit_seals, audit_unsealed;

drop index
    audit_events_action_occurred_at_id_idx,
    audit_events_actor_id_occurred_at_id_idx,
    audit_events_client_id_occurred_at_id_idx,
    audit_events_object_id_occurred_at_id_idx,
    audit_events_occurred_at_id_idx,
    audit_events_request_id_idx;
alter table audit_events
    drop column person_id,
    drop column user_id,
    drop column book_id,
    drop column client_id,
    drop column reason;
CREATE INDEX audit_events_object_id_occurred_at_idx ON audit_events (object_id, occurred_at);
CREATE INDEX audit_events_occurred_at_idx ON audit_events (occurred_at);
