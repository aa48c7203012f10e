-- Processes that keep tenants' settings in memory: that they live, and how much they have applied.
-- Ages are measured by this server's clock; a row whose heartbeat is old belongs to a process
-- that is dead, frozen or cut off.
CREATE TABLE processes (
    process_id      uuid PRIMARY KEY,
    process         text NOT NULL,
    -- offset of `tenant.settings.changed` below which everything is applied
    settings_offset bigint NOT NULL CHECK (settings_offset >= 0),
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
