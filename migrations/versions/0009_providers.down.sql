-- Takes back 0009_providers.up.sql.
drop function forget_provider_flows(timestamptz);
drop table provider_identities, provider_flows;
alter table person_keys drop column key_id;
