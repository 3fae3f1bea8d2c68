-- Takes back 0017_answers.up.sql.
drop function blank_account(uuid);
create function blank_account(person uuid) returns void
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
    -- What an end client has said is its own; what the staff have said is the firm's.
    delete from conversations where owner_id = person and exists (
        select from users u where u.id = person and u.role = 'CLIENT'
    );
    update sessions set device = '', address = '' where user_id = person;
end
$$;
revoke execute on function blank_account(uuid) from public;
grant execute on function blank_account(uuid) to steward_app;
drop function rename_conversation(uuid, text);
create or replace function blank_messages(client uuid, nothing text) returns bigint
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    blanked bigint;
begin
    if not exists (select from person_keys where person_id = client and destroyed_at is not null) then
        raise insufficient_privilege using message = 'the client is not erased';
    end if;
    -- Whatever a conversation about it is called, by hand too.
    update conversation_titles t set title = nothing, message_id = null
        from message_clients m where m.client_id = client and m.conversation_id = t.id;
    -- Nobody writes on of it.
    update runs r set status = 'CANCELLED', error = 'CANCELLED', ended_at = now()
        from message_clients m
        where m.client_id = client and m.message_id = r.message_id and r.status in ('QUEUED', 'RUNNING');
    delete from tool_uses u using message_clients m where m.client_id = client and m.message_id = u.message_id;
    delete from run_steps s using message_clients m where m.client_id = client and m.message_id = s.message_id;
    update messages g set blocks = '[]', insight = '{}', words = null, version = version + 1
        from message_clients m where m.client_id = client and m.message_id = g.id;
    get diagnostics blanked = row_count;
    return blanked;
end
$$;
drop table model_calls;
