-- Takes back 0002_jobs.up.sql.
drop view queue.dead_jobs;
drop table queue.pgqueuer, queue.pgqueuer_log, queue.pgqueuer_schedules, queue.pgqueuer_statistics;
drop type queue.pgqueuer_status;
