-- Announcements and maintenance windows.
CREATE TABLE announcements (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    audience TEXT NOT NULL,
    role TEXT,
    unit_id UUID,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE,
    shown_from TIMESTAMP WITH TIME ZONE NOT NULL,
    announced_by UUID NOT NULL,
    announced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    told_through UUID,
    CONSTRAINT announcements_pkey PRIMARY KEY (id),
    CONSTRAINT announcements_kind_check CHECK (kind IN ('ANNOUNCEMENT', 'MAINTENANCE')),
    CONSTRAINT announcements_audience_check CHECK (audience IN ('ALL', 'ROLE', 'UNIT')),
    CONSTRAINT announcements_role_check CHECK (role IN ('ADMIN', 'BU_MANAGER', 'SUPERVISOR', 'ADVISOR', 'VIEWER', 'ANALYST', 'AUDITOR', 'CLIENT', 'SERVICE')),
    CONSTRAINT announcements_of_role_check CHECK ((role is not null) = (audience = 'ROLE')),
    CONSTRAINT announcements_of_unit_check CHECK ((unit_id is not null) = (audience = 'UNIT')),
    CONSTRAINT announcements_order_check CHECK (ends_at > starts_at),
    CONSTRAINT announcements_unit_id_fkey FOREIGN KEY(unit_id) REFERENCES units (id),
    CONSTRAINT announcements_announced_by_fkey FOREIGN KEY(announced_by) REFERENCES users (id)
);
CREATE INDEX announcements_announced_at_id_idx ON announcements (announced_at, id);
CREATE INDEX announcements_shown_from_idx ON announcements (shown_from);
alter table announcements enable row level security;
create policy announcements_see on announcements for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or coalesce(current_setting('steward.user', true), '') <> '' and shown_from <= now() and (audience = 'ALL' or exists (select from users where users.id = nullif(current_setting('steward.user', true), '')::uuid and (users.role = announcements.role or users.unit_id = announcements.unit_id))));
create policy announcements_add on announcements for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy announcements_change on announcements for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or coalesce(current_setting('steward.user', true), '') <> '' and shown_from <= now() and (audience = 'ALL' or exists (select from users where users.id = nullif(current_setting('steward.user', true), '')::uuid and (users.role = announcements.role or users.unit_id = announcements.unit_id)))) with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy announcements_remove on announcements for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or coalesce(current_setting('steward.user', true), '') <> '' and shown_from <= now() and (audience = 'ALL' or exists (select from users where users.id = nullif(current_setting('steward.user', true), '')::uuid and (users.role = announcements.role or users.unit_id = announcements.unit_id)))) and (coalesce(current_setting('steward.everything', true), '') = 'on'));
grant select, insert, update on announcements to steward_app;

-- By which a server that is asked whether it is ready tells whether migrations are pending.
grant select on alembic_version to steward_app;
