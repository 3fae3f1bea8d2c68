-- Takes back 0007_accounts.up.sql.
drop function forget_links(timestamptz);
drop index users_sort_name_id_idx, users_created_at_id_idx;
drop table account_links, user_preferences;
