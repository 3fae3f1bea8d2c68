-- What callers have used of their budgets, where several processes share them. A crash may forget it: it is a minute's.

CREATE UNLOGGED TABLE rate_windows (
    key TEXT NOT NULL,
    used BIGINT NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT rate_windows_pkey PRIMARY KEY (key)
) WITH (fillfactor = 50);
CREATE INDEX rate_windows_ends_at_idx ON rate_windows (ends_at);

-- Take an amount if the window then holds no more than `most`, in one step: whoever comes at the same time waits for
-- the row, and sees what is left. A window that has ended begins anew.
create function take_from_window(window_key text, most bigint, seconds double precision, amount bigint)
    returns table (used bigint, ends_at timestamptz, taken boolean)
    language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    ends timestamptz := clock_timestamp() + make_interval(secs => seconds);
begin
    if amount <= most then
        return query
            insert into rate_windows as w (key, used, ends_at) values (window_key, amount, ends)
            on conflict (key) do update set
                used = case when w.ends_at <= clock_timestamp() then amount else w.used + amount end,
                ends_at = case when w.ends_at <= clock_timestamp() then ends else w.ends_at end
            where w.ends_at <= clock_timestamp() or w.used + amount <= most
            returning w.used, w.ends_at, true;
        if found then
            return;
        end if;
    end if;
    return query
        select w.used, w.ends_at, false from rate_windows w
        where w.key = window_key and w.ends_at > clock_timestamp();
    if not found then
        return query select 0::bigint, ends, false;
    end if;
end
$$;

-- Give back to the window with this end, if it has not ended: what was taken from one is no credit in the next.
create function give_back_to_window(window_key text, window_end timestamptz, amount bigint)
    returns table (used bigint, ends_at timestamptz, taken boolean)
    language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
begin
    return query
        update rate_windows w set used = greatest(0, w.used - amount)
        where w.key = window_key and w.ends_at = window_end and w.ends_at > clock_timestamp()
        returning w.used, w.ends_at, true;
    if not found then
        return query select 0::bigint, clock_timestamp(), false;
    end if;
end
$$;

create function window_of(window_key text)
    returns table (used bigint, ends_at timestamptz, taken boolean)
    language sql stable security definer set search_path = public, pg_temp as $$
    select w.used, w.ends_at, false from rate_windows w where w.key = window_key and w.ends_at > clock_timestamp()
$$;

create function forget_windows(moment timestamptz) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with forgotten as (delete from rate_windows where ends_at < moment returning 1) select count(*) from forgotten
$$;

revoke execute on function
    take_from_window(text, bigint, double precision, bigint), give_back_to_window(text, timestamptz, bigint),
    window_of(text), forget_windows(timestamptz)
    from public;
grant execute on function
    take_from_window(text, bigint, double precision, bigint), give_back_to_window(text, timestamptz, bigint),
    window_of(text), forget_windows(timestamptz)
    to steward_app;

-- The policies let nobody see a row: the functions alone are past them.
grant select on rate_windows to steward_app;
alter table rate_windows enable row level security;
create policy rate_windows_see on rate_windows for select using (false);
create policy rate_windows_add on rate_windows for insert with check (false);
create policy rate_windows_change on rate_windows for update using (false) with check (false);
create policy rate_windows_remove on rate_windows for delete using ((false) and (false));
