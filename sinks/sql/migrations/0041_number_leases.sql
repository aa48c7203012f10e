-- What each worker may send from a business number in any second. A row lives until it expires,
-- and half a second longer than WhatsApp's second, because what its worker sent still counts.
CREATE TABLE number_leases (
    phone_number_id text NOT NULL,
    worker_id       uuid NOT NULL,
    worker          text NOT NULL,
    share           integer NOT NULL CHECK (share >= 0),
    wanted          integer NOT NULL CHECK (wanted >= 0),
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (phone_number_id, worker_id)
);
