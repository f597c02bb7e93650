/** The schema of the agent's database (docs/agent-store.md). One that was released is never changed. */

/** `PRAGMA application_id` of our files: "SMPa". */
export const applicationId = 0x534d5061;

/** `PRAGMA user_version` of a file with this schema. */
export const schemaVersion = 3;

const version2 = `
  CREATE TABLE connections (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE receiving_routes (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    keys BLOB NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE INDEX receiving_routes_connection ON receiving_routes (connection);
  CREATE TABLE sending_routes (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    keys BLOB NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (connection, id)
  ) STRICT;
  CREATE TABLE outbox (
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    plaintext BLOB NOT NULL,
    PRIMARY KEY (connection, position)
  ) STRICT;
  CREATE TABLE deliveries (
    connection TEXT NOT NULL,
    route TEXT NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (route, position),
    FOREIGN KEY (connection, route) REFERENCES sending_routes (connection, id) ON DELETE CASCADE,
    FOREIGN KEY (connection, position) REFERENCES outbox (connection, position) ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX deliveries_entry ON deliveries (connection, position);
  CREATE TRIGGER outbox_delivered AFTER DELETE ON deliveries
    WHEN NOT EXISTS (SELECT 1 FROM deliveries WHERE connection = old.connection AND position = old.position)
    BEGIN
      DELETE FROM outbox WHERE connection = old.connection AND position = old.position;
    END;
  CREATE TABLE messages (
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    done INTEGER NOT NULL,
    data BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (connection, id)
  ) STRICT;
  CREATE INDEX messages_at ON messages (at) WHERE done = 1;
  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    data BLOB NOT NULL
  ) STRICT;
  CREATE INDEX events_connection ON events (connection);
  CREATE TABLE discarded_queues (
    id TEXT PRIMARY KEY,
    data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE passphrase (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    key BLOB NOT NULL
  ) STRICT;
`;

/** Makes a database of version 2 one of version 3, which has sessions. */
export const version3 = `
  CREATE TABLE sessions (
    connection TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    keys BLOB NOT NULL,
    ratchet BLOB NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE inbound_routes (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    keys BLOB NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (connection, id)
  ) STRICT;
  CREATE TABLE outbound_routes (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    keys BLOB NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE INDEX outbound_routes_connection ON outbound_routes (connection);
  CREATE TABLE frames (
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    frame BLOB NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (connection, number)
  ) STRICT;
  CREATE TABLE held_frames (
    connection TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (connection, number)
  ) STRICT;
  CREATE TABLE pieces (
    connection TEXT NOT NULL,
    route TEXT NOT NULL,
    tag TEXT NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    piece BLOB NOT NULL,
    PRIMARY KEY (connection, route, tag, position),
    FOREIGN KEY (connection, route) REFERENCES inbound_routes (connection, id) ON DELETE CASCADE
  ) STRICT;
  ALTER TABLE messages ADD COLUMN number INTEGER;
  ALTER TABLE messages ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX messages_undelivered ON messages (connection, number)
    WHERE number IS NOT NULL AND delivered = 0;
`;

/** Makes the tables in an empty database. */
export const schema: string = version2 + version3;
