-- Takes back 0016_conversations.up.sql.
drop policy events_see on events;
drop policy events_change on events;
drop policy events_remove on events;
create policy events_see on events for select using (case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end);
create policy events_change on events for update using (case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end) with check (false);
create policy events_remove on events for delete using ((case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end) and (false));
delete from events where stream like 'conversation:%';
delete from event_streams where stream like 'conversation:%';
alter table events drop column since;
create or replace function forget_expired(moment timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from events where occurred_at < moment - interval '30 days';
    delete from receipts where created_at < moment - interval '7 days';
    delete from refresh_tokens where expires_at < moment - interval '1 day';
$$;
alter table event_streams drop column forgotten;
drop table run_steps, tool_uses, runs, message_clients, conversation_titles, messages, conversation_participants,
    conversations;
drop function takes_part(uuid), owns_conversation(uuid), sees_all(uuid, uuid[], timestamptz), search_messages(tsquery), open_runs(uuid),
    open_runs_of(uuid), is_retried(uuid), blank_messages(uuid, text), forget_steps(uuid), forget_conversation(uuid),
    forget_participants();
create or replace function blank_account(person uuid) returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not exists (select from person_keys where person_id = person and destroyed_at is not null) then
        raise insufficient_privilege using message = 'the user is not erased';
    end if;
    delete from credentials where id = person;
    delete from second_factors where id = person;
    delete from recovery_codes where user_id = person;
    delete from sign_in_challenges where user_id = person;
    delete from provider_flows where user_id = person;
    delete from account_links where user_id = person;
    delete from user_preferences where id = person;
    delete from provider_identities where user_id = person;
    update sessions set device = '', address = '' where user_id = person;
end
$$;
