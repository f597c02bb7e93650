BEGIN TRANSACTION;
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
INSERT INTO "connections" VALUES('a',1000,'joiner',1,'secured','active',1,12,13,X'0E',15,X'10','bGFzdA==',X'11',1,18);
INSERT INTO "connections" VALUES('b',2000,'initiator',1,'new','none',0,12,0,X'',0,X'','',X'',0,0);
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
INSERT INTO "messages" VALUES('a',1,X'0102',1,0,'{"type":"NO_ID","from":1,"to":2}','c2Vy',6,7,8);
INSERT INTO "messages" VALUES('a',2,X'0202',2,0,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "outbox" VALUES('a',1,'KEY',1,X'0101',5,0);
INSERT INTO "outbox" VALUES('a',11,'MSG',11,X'0B01',5,0);
CREATE TABLE passphrase (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    proof BLOB NOT NULL
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
INSERT INTO "receiving_queues" VALUES('a','one.example',5223,'aGFzaA==','cmlk','c2lk',X'010203',X'0405',X'06',X'07');
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
INSERT INTO "sending_queues" VALUES('a','two.example',NULL,NULL,'c2lkMg==',X'08',X'090A',X'0B');
CREATE INDEX messages_at ON messages (at) WHERE done = 1;
COMMIT;
PRAGMA user_version = 1;
