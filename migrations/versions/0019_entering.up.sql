-- Tells the policies a viewer if its session is still what it was said to be; raises ST001 if it is not, so that nothing
-- of the statement that asks is read. `said` is a row of viewer_of as text, and the words are those of the statement that
-- lends a connection.
create function enter_as(
    session uuid, moment timestamptz, said text, viewer text, books text, clients text, everything text
)
    returns boolean language plpgsql volatile parallel unsafe security definer set search_path = public, pg_temp as $$
declare
    found text;
begin
    select told::text into found from viewer_of(session, moment) told;
    if found is distinct from said then
        raise exception 'the session is not what it was' using errcode = 'ST001';
    end if;
    perform
        set_config('steward.user', viewer, false),
        set_config('steward.books', books, false),
        set_config('steward.clients', clients, false),
        set_config('steward.everything', everything, false),
        set_config('steward.identity', '', false);
    return true;
end
$$;
revoke execute on function enter_as(uuid, timestamptz, text, text, text, text, text) from public;
grant execute on function enter_as(uuid, timestamptz, text, text, text, text, text) to steward_app;
