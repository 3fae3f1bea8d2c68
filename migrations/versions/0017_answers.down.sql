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
drop table model_calls;
