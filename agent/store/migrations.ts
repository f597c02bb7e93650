/**
 * The steps from an empty database to the schema of this version; `PRAGMA user_version` counts those that were made.
 * A step that was released is never changed (docs/agent-store.md).
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE connections (
    alias TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('initiator', 'joiner')),
    reply INTEGER NOT NULL,
    receiving TEXT NOT NULL,
    sending TEXT NOT NULL,
    connected INTEGER NOT NULL,
    last_message_id INTEGER NOT NULL,
    last_sent_id INTEGER NOT NULL,
    last_sent_hash BLOB NOT NULL,
    last_received_id INTEGER NOT NULL,
    last_received_hash BLOB NOT NULL,
    last_server_id TEXT NOT NULL,
    last_plaintext_hash BLOB NOT NULL,
    suspended INTEGER NOT NULL,
    unreadable INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE receiving_queues (
    alias TEXT PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
    host TEXT NOT NULL,
    port INTEGER,
    key_hash TEXT,
    recipient_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    recipient_key BLOB NOT NULL,
    decryption_key BLOB NOT NULL,
    sender_key BLOB,
    verification_key BLOB
  ) STRICT;
  CREATE TABLE sending_queues (
    alias TEXT PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
    host TEXT NOT NULL,
    port INTEGER,
    key_hash TEXT,
    sender_id TEXT NOT NULL,
    sender_key BLOB NOT NULL,
    signing_key BLOB NOT NULL,
    encryption_key BLOB NOT NULL
  ) STRICT;
  CREATE TABLE outbox (
    alias TEXT NOT NULL REFERENCES connections ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('KEY', 'HELLO', 'REPLY', 'MSG')),
    message_id INTEGER NOT NULL,
    plaintext BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    attempted INTEGER NOT NULL,
    PRIMARY KEY (alias, position)
  ) STRICT;
  CREATE TABLE messages (
    alias TEXT NOT NULL REFERENCES connections ON DELETE CASCADE,
    id INTEGER NOT NULL,
    body BLOB NOT NULL,
    at INTEGER NOT NULL,
    done INTEGER NOT NULL,
    integrity TEXT,
    server_id TEXT,
    server_at INTEGER,
    sender_id INTEGER,
    sender_at INTEGER,
    PRIMARY KEY (alias, id)
  ) STRICT;
  CREATE INDEX messages_at ON messages (at) WHERE done = 1;
  CREATE TABLE passphrase (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    proof BLOB NOT NULL
  ) STRICT;
  `,
];
