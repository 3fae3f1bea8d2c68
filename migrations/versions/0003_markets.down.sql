-- Takes back 0003_markets.up.sql.
revoke insert on fx_rates, prices from steward_app;
drop policy fx_rates_add on fx_rates;
drop policy fx_rates_change on fx_rates;
drop policy fx_rates_remove on fx_rates;
create policy fx_rates_add on fx_rates for insert with check (false);
create policy fx_rates_change on fx_rates for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy fx_rates_remove on fx_rates for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));
drop policy prices_add on prices;
drop policy prices_change on prices;
drop policy prices_remove on prices;
create policy prices_add on prices for insert with check (false);
create policy prices_change on prices for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy prices_remove on prices for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));
drop table market_days;
